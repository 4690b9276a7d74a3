import { expect } from 'chai';
import { DEFAULT_LIMITS, LimitsError, printLimits, readLimits } from '../../../../src/protocol/limits.ts';
import { otlpRulesOf } from '../../../../src/protocol/otlp/otlp-rules.ts';

const rulesOf = (otlp_config: unknown) => otlpRulesOf(readLimits({ otlp_config }).limitsFor('a').otlpConfig);

describe('otlp_config', () => {
  it('makes labels of the resource attributes that Loki makes labels of, and metadata of all else', () => {
    const { ofResource, ofScope, ofRecord, isSeverityTextLabel } = otlpRulesOf(DEFAULT_LIMITS.otlpConfig);
    expect(ofResource('service.name')).to.equal('index_label');
    expect(ofResource('k8s.job.name')).to.equal('index_label');
    expect(ofResource('host.name')).to.equal('structured_metadata');
    expect([ofScope('service.name'), ofRecord, isSeverityTextLabel]).to.deep.equal([
      'structured_metadata',
      undefined,
      false,
    ]);
  });

  it('asks the defaults before its own rules, unless they are ignored', () => {
    const attributes_config = [{ action: 'drop', regex: 'service.*|host\\.name' }];
    const kept = rulesOf({ resource_attributes: { attributes_config } });
    expect([kept.ofResource('service.name'), kept.ofResource('host.name')]).to.deep.equal(['index_label', 'drop']);
    const ignored = rulesOf({ resource_attributes: { ignore_defaults: true, attributes_config } });
    expect(ignored.ofResource('service.name')).to.equal('drop');
  });

  it('matches a regex against the whole name', () => {
    const { ofRecord } = rulesOf({ log_attributes: [{ action: 'drop', regex: 'a.c' }] });
    expect(['abc', 'xabc', 'abcx'].map((name) => ofRecord?.(name))).to.deep.equal([
      'drop',
      'structured_metadata',
      'structured_metadata',
    ]);
  });

  it('differs by tenant, and is printed as it was given', () => {
    const config = { severity_text_as_label: true };
    const limits = readLimits({}, { b: { otlp_config: config } });
    expect(otlpRulesOf(limits.limitsFor('a').otlpConfig).isSeverityTextLabel).to.equal(false);
    expect(otlpRulesOf(limits.limitsFor('b').otlpConfig).isSeverityTextLabel).to.equal(true);
    expect(printLimits(limits.limitsFor('b'))['otlp_config']).to.deep.equal(config);
  });

  for (const [name, config] of Object.entries({
    'an unknown key': { resource: {} },
    'a list': [],
    'an unknown action': { log_attributes: [{ action: 'keep', attributes: ['a'] }] },
    'a rule without names': { log_attributes: [{ action: 'drop' }] },
    'a rule with names and a regex': { log_attributes: [{ action: 'drop', attributes: ['a'], regex: 'a' }] },
    'a regex that is none': { log_attributes: [{ action: 'drop', regex: '(' }] },
    'a name that is no text': { scope_attributes: [{ action: 'drop', attributes: [1] }] },
    'a label of a scope': { scope_attributes: [{ action: 'index_label', attributes: ['a'] }] },
    'a flag that is none': { resource_attributes: { ignore_defaults: 'yes' } },
  })) {
    it(`refuses ${name}`, () => {
      expect(() => readLimits({ otlp_config: config })).to.throw(
        LimitsError,
        /^limits\.otlp_config: got .*, want resource_attributes/,
      );
    });
  }
});
