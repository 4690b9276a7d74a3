import { expect } from 'chai';
import { ConfigError, configYaml, loadConfig } from '../../../src/config.ts';

const load = (text: string) => loadConfig({ file: { name: 'ringlog.yaml', text } });
const problemsOf = (text: string): readonly string[] => {
  try {
    load(text);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
};

describe('the configuration of rules', () => {
  it('has Loki’s defaults where Loki has the setting', () => {
    const { ruler, limits } = loadConfig({});
    expect(ruler).to.deep.include({
      enable_api: true,
      evaluation_interval: 60_000,
      poll_interval: 60_000,
      notification_queue_capacity: 10_000,
      notification_timeout: 10_000,
      resend_delay: 60_000,
      alertmanager_url: '',
    });
    expect(ruler.remote_write).to.deep.include({ enabled: false, add_org_id_header: true });
    const { rulerMaxRuleGroupsPerTenant, rulerMaxRulesPerRuleGroup } = limits.limitsFor('a');
    expect([rulerMaxRuleGroupsPerTenant, rulerMaxRulesPerRuleGroup]).to.deep.equal([0, 0]);
  });

  it('takes what Loki’s has and has no meaning here', () => {
    const text = [
      'ruler:',
      '  rule_path: /tmp/rules',
      '  enable_sharding: true',
      '  ring: {kvstore: {store: inmemory}}',
      '  wal: {dir: /tmp/wal}',
      '  for_grace_period: 10m',
      '  enable_alertmanager_v2: true',
      '  evaluation: {mode: local, max_jitter: 1s}',
    ].join('\n');
    expect(problemsOf(text)).to.deep.equal([]);
  });

  it('is printed so that it may be given back', () => {
    const text =
      'ruler:\n  alertmanager_url: "http://a:1, https://b/x"\n  external_labels: {a: b}\n' +
      '  remote_write: {enabled: true, clients: {one: {url: http://c, headers: {h: v}, queue_config: {min_backoff: 20ms}}}}\n';
    const config = load(text);
    expect(load(configYaml(config)).ruler).to.deep.equal(config.ruler);
    expect(config.ruler.remote_write.clients['one']).to.deep.include({ url: 'http://c', remote_timeout: 30_000 });
  });

  const cases: readonly (readonly [text: string, problem: string])[] = [
    [
      'ruler: {alertmanager_url: am:9093}',
      'ruler.alertmanager_url: got "am:9093", want URLs with commas between, or nothing',
    ],
    ['ruler: {enable_alertmanager_v2: false}', 'ruler.enable_alertmanager_v2: got false, want true'],
    ['ruler: {enable_alertmanager_discovery: true}', 'ruler.enable_alertmanager_discovery: no such setting'],
    ['ruler: {storage: {type: s3}}', 'ruler.storage.type: got "s3", want one of , local'],
    [
      'ruler: {storage: {type: local}}',
      'ruler.storage.local.directory: got "", want the name of a folder: the type is local',
    ],
    [
      'ruler: {remote_write: {enabled: true}}',
      'ruler.remote_write.client.url: got nothing, want a URL: remote_write is enabled',
    ],
    ['ruler: {remote_write: {client: {url: x}}}', 'ruler.remote_write.client.url: got "x", want a URL'],
    ['ruler: {evaluation: {mode: remote}}', 'ruler.evaluation.mode: got "remote", want one of local'],
  ];
  for (const [text, problem] of cases) {
    it(`refuses ${text}`, () => expect(problemsOf(text)).to.deep.equal([problem]));
  }
});
