/** The dashboard and the alerts name what the nodes really tell. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { request } from 'undici';
import { WebSocket } from 'ws';
import { parse as parseYaml } from 'yaml';
import { LocalCluster } from '../../src/cli/local-cluster.ts';
import { eventually } from '../support/eventually.ts';
import { GcsServer } from '../support/gcs/gcs-server.ts';
import { buildNodes, SERVE } from '../support/node-process.ts';
import { namesIn } from '../support/promql-names.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const NODES = ['node-1', 'node-2', 'node-3'];
/** Of Prometheus itself. */
const OF_SCRAPES = new Set(['job', 'instance', 'le']);
const OWN_METRICS = new Set(['up']);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition: string }[] };
}

const read = (name: string): Promise<string> => readFile(path.join(ROOT, 'deploy', name), 'utf8');

/** Metric → the labels that any series of it has. Histograms are known by the names of their series too. */
const metricsIn = (texts: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> => {
  const known = new Map<string, Set<string>>();
  for (const text of texts) {
    for (const [, name = '', labels = ''] of text.matchAll(/^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+$/gm)) {
      const all = known.get(name) ?? new Set();
      known.set(name, all);
      for (const [, label = ''] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) all.add(label);
    }
  }
  return known;
};

describe('the dashboard and the alerts', function () {
  this.timeout(120_000);
  let folder: string;
  let gcs: GcsServer;
  let cluster: LocalCluster;
  let dashboard: Dashboard;
  let metrics: ReadonlyMap<string, ReadonlySet<string>>;

  const ask = async (url: string, options: Parameters<typeof request>[1] = {}): Promise<string> => {
    const { statusCode, body } = await request(url, options);
    const text = await body.text();
    if (statusCode >= 300) throw new Error(`${url}: ${statusCode} ${text}`);
    return text;
  };

  /** Some of everything that is counted only when it happens. */
  const use = async (url: string): Promise<void> => {
    const nowNs = BigInt(Date.now()) * 1_000_000n;
    const push = (timeNs: bigint): Promise<unknown> => {
      const streams = Array.from({ length: 20 }, (_, index) => ({
        stream: { app: `app-${index}` },
        values: [[String(timeNs), `level=info n=${index}`]],
      }));
      const headers = { 'content-type': 'application/json' };
      return request(`${url}/loki/api/v1/push`, { method: 'POST', headers, body: JSON.stringify({ streams }) });
    };
    await push(nowNs);
    await push(1n);
    await ask(`${url}/flush`, { method: 'POST' });
    const query = encodeURIComponent('{app=~".+"}');
    await ask(`${url}/loki/api/v1/query_range?query=${query}`);
    await ask(`${url}/loki/api/v1/query?query=${encodeURIComponent('sum(rate({app=~".+"}[5m]))')}`);
    const tail = new WebSocket(`${url.replace('http', 'ws')}/loki/api/v1/tail?query=${query}`);
    await new Promise((resolve) => tail.once('open', resolve));
    tail.terminate();
    const group = JSON.stringify({ name: 'g', rules: [{ alert: 'Always', expr: 'vector(1)' }] });
    await ask(`${url}/loki/api/v1/rules/ns`, { method: 'POST', body: group });
  };

  before(async () => {
    buildNodes();
    dashboard = JSON.parse(await read('grafana/dashboards/ringlog.json')) as Dashboard;
    folder = mkdtempSync(path.join(os.tmpdir(), 'rl-boards-'));
    gcs = await GcsServer.start();
    const settings = {
      log_level: 'info',
      ingester: { cut_workers: 1 },
      querier: { scan_workers: 1 },
      compactor: { retention_enabled: true },
      // Nobody listens there.
      ruler: { alertmanager_url: 'http://127.0.0.1:9', evaluation_interval: '1s' },
      schema_config: { configs: [{ from: '2020-01-01', schema: 'v13', object_store: 'gcs' }] },
      storage_config: { gcs: { bucket_name: 'chunks', api_endpoint: gcs.url } },
    };
    cluster = await LocalCluster.open({ command: [SERVE], folder, basePort: 0, settings });
    await Promise.all(NODES.map((name) => cluster.start(name)));
    const [first] = cluster.nodes;
    await use(first?.url ?? '');
    let texts: readonly string[] = [];
    const scrape = async (): Promise<boolean> => {
      texts = await Promise.all(cluster.nodes.map(({ url }) => ask(`${url}/metrics`)));
      // The first collection of garbage is told some time after it.
      const told = ['nodejs_gc_duration_seconds_sum', 'loki_prometheus_rule_evaluations_total{'];
      return told.every((series) => texts.some((text) => text.includes(series)));
    };
    await eventually('a collection of garbage, and an evaluation of a rule', scrape, () => texts.length, 60_000);
    metrics = metricsIn(texts);
  });
  after(async () => {
    await cluster.close();
    await gcs.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What of an expression no node tells. */
  const unknownIn = (expression: string): readonly string[] => {
    const { selectors, grouping } = namesIn(expression);
    expect(selectors, expression).to.not.be.empty;
    const labels = selectors.flatMap(({ metric }) => [...(metrics.get(metric) ?? [])]);
    const isKnown = (label: string): boolean => OF_SCRAPES.has(label) || labels.includes(label);
    const named = selectors.filter(({ metric }) => !OWN_METRICS.has(metric));
    return [
      ...named.flatMap(({ metric }) => (metrics.has(metric) ? [] : [metric])),
      ...named.flatMap(({ metric, labels: asked }) =>
        asked.filter((label) => !OF_SCRAPES.has(label) && !metrics.get(metric)?.has(label)),
      ),
      ...grouping.filter((label) => !isKnown(label)),
    ];
  };

  const expressions = (): readonly (readonly [string, string])[] =>
    dashboard.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const));

  it('are checked so that a wrong metric or label is found', () => {
    expect(unknownIn('rate(loki_panics_total{job="ringlog"}[5m])')).to.deep.equal(['loki_panics_total']);
    expect(unknownIn('sum by (tenent) (loki_distributor_lines_received_total{user="a"})')).to.deep.equal([
      'user',
      'tenent',
    ]);
    expect(unknownIn('up{job="ringlog"} == 0 or time() - 4 * ringlog_ready > 2e9')).to.deep.equal([]);
  });

  it('ask for metrics and labels that nodes have, in every panel', () => {
    const unknown = expressions().flatMap(([title, expr]) => unknownIn(expr).map((name) => `${title}: ${name}`));
    expect(unknown).to.deep.equal([]);
    expect(expressions().length).to.be.above(50);
  });

  it('ask for metrics and labels that nodes have, in every alert and every variable', async () => {
    const { groups } = parseYaml(await read('prometheus/ringlog-alerts.yaml')) as {
      groups: { rules: { alert: string; expr: string; annotations: { summary: string; description?: string } }[] }[];
    };
    const rules = groups.flatMap((group) => group.rules);
    expect(new Set(rules.map(({ alert }) => alert)).size).to.equal(rules.length);
    const unknown = rules.flatMap(({ alert, expr }) => unknownIn(expr).map((name) => `${alert}: ${name}`));
    for (const { alert, expr, annotations } of rules) {
      const { grouping, selectors } = namesIn(expr);
      const labels = [...selectors.flatMap(({ metric }) => [...(metrics.get(metric) ?? [])]), ...grouping];
      for (const [, label = ''] of Object.values(annotations)
        .join(' ')
        .matchAll(/\$labels\.(\w+)/g)) {
        if (!OF_SCRAPES.has(label) && !labels.includes(label)) unknown.push(`${alert}: $labels.${label}`);
      }
    }
    for (const { name, definition } of dashboard.templating.list) {
      const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
      expect(OF_SCRAPES.has(label), name).to.equal(true);
      unknown.push(...unknownIn(selector));
    }
    expect(unknown).to.deep.equal([]);
  });

  it('have panels with ids of their own, from a data source that is provisioned', async () => {
    const { datasources } = parseYaml(await read('grafana/provisioning/datasources/ringlog.yaml')) as {
      datasources: { uid: string; type: string }[];
    };
    const types = new Map(datasources.map(({ uid, type }) => [uid, type]));
    expect([...types.values()].sort()).to.deep.equal(['loki', 'prometheus']);
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).to.equal(ids.length);
    for (const { title, type, datasource, targets = [] } of dashboard.panels) {
      const used = [...(datasource ? [datasource] : []), ...targets.map((target) => target.datasource)];
      expect(used.length > 0, title).to.equal(type !== 'row');
      for (const { uid } of used) expect(types.get(uid), title).to.equal('prometheus');
    }
  });

  it('are where the compose file mounts them, with the job that the alerts go by', async () => {
    const compose = parseYaml(await read('grafana/docker-compose.yaml')) as {
      services: Record<string, { volumes: string[]; environment?: Record<string, string> }>;
    };
    const mounts = Object.values(compose.services).flatMap(({ volumes }) =>
      volumes.filter((one) => one.startsWith('.')),
    );
    expect(mounts).to.have.length(4);
    for (const mount of mounts) {
      const [from = '', to = ''] = mount.split(':');
      expect(existsSync(path.join(ROOT, 'deploy/grafana', from)), from).to.equal(true);
      const isRead = ['/etc/grafana/provisioning', '/etc/prometheus/prometheus.yml'].includes(to);
      const readers = [
        await read('grafana/provisioning/dashboards/ringlog.yaml'),
        await read('prometheus/prometheus.yml'),
      ];
      expect(isRead || readers.some((text) => text.includes(to)), to).to.equal(true);
    }
    const provisioned = await read('grafana/provisioning/datasources/ringlog.yaml');
    const variables = [...provisioned.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name as string);
    expect(compose.services['grafana']?.environment).to.include.keys(variables);
    const { scrape_configs: scrapes } = parseYaml(await read('prometheus/prometheus.yml')) as {
      scrape_configs: { job_name: string }[];
    };
    expect(scrapes.map(({ job_name }) => job_name)).to.deep.equal(['ringlog']);
  });
});
