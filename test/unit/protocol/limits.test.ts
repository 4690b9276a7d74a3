import { expect } from 'chai';
import { durationText, parseDuration, parseSize, sizeText } from '../../../src/protocol/limit-values.ts';
import { DEFAULT_LIMITS, LimitsError, readLimits } from '../../../src/protocol/limits.ts';

const problemsOf = (config: unknown, overrides?: unknown): readonly string[] => {
  try {
    readLimits(config, overrides);
  } catch (error) {
    if (error instanceof LimitsError) return error.problems;
    throw error;
  }
  return [];
};

describe('limits', () => {
  it("are Loki 3.7's when nothing is set", () => {
    const limits = readLimits(undefined).limitsFor('anybody');
    expect(limits).to.deep.equal(DEFAULT_LIMITS);
    expect(limits).to.include({
      ingestionRateBytes: 4 * 1024 * 1024,
      ingestionBurstBytes: 6 * 1024 * 1024,
      maxLabelNamesPerSeries: 15,
      rejectOldSamplesMaxAgeMs: 604_800_000,
      creationGracePeriodMs: 600_000,
      maxLineBytes: 262_144,
      maxGlobalStreamsPerUser: 5000,
      perStreamRateLimitBytes: 3 * 1024 * 1024,
      maxQueryLengthMs: 721 * 3_600_000,
      queryTimeoutMs: 60_000,
    });
  });

  it('bound rows of the index only where they say so, as in a Loki without a cache of the index', () => {
    expect(readLimits(undefined).limitsFor('a').cardinalityLimit).to.equal(0);
    const limits = readLimits({ cardinality_limit: 7 }, { b: { cardinality_limit: 9 } });
    expect([limits.limitsFor('a').cardinalityLimit, limits.limitsFor('b').cardinalityLimit]).to.deep.equal([7, 9]);
  });

  it("of a tenant are those of all, with the tenant's own over them, the same object each time", () => {
    const limits = readLimits({ max_line_size: '1KB', query_timeout: '30s' }, { a: { max_line_size: 64 }, b: null });
    expect(limits.limitsFor('a')).to.include({ maxLineBytes: 64, queryTimeoutMs: 30_000 });
    expect(limits.limitsFor('b')).to.include({ maxLineBytes: 1024 });
    expect(limits.limitsFor('a')).to.equal(limits.limitsFor('a'));
    expect(limits.limitsFor('c')).to.equal(limits.limitsFor('d'));
  });

  it('print under the names and in the forms of Loki, to be read again', () => {
    const limits = readLimits(
      { ingestion_rate_mb: 0.5, max_query_length: '30d1h' },
      { a: { max_line_size: '1536KB' } },
    );
    const { limits_config: config, overrides } = limits.effective();
    expect(config).to.include({ ingestion_rate_mb: 0.5, max_query_length: '30d1h', reject_old_samples_max_age: '1w' });
    expect(overrides['a']).to.include({ max_line_size: '1536KB', ingestion_rate_mb: 0.5 });
    expect(readLimits(config, overrides).effective()).to.deep.equal(limits.effective());
  });

  it('take times with and without their ends, and print them whole', () => {
    const read = (value: unknown) => readLimits({ block_ingestion_until: value });
    for (const [text, ms] of [
      ['2026-12-01T08:00:00+01:00', Date.UTC(2026, 11, 1, 7)],
      ['2026-12-01T08:30', Date.UTC(2026, 11, 1, 8, 30)],
      ['2026-12-01', Date.UTC(2026, 11, 1)],
      ['0', 0],
      [0, 0],
    ] as const) {
      expect(read(text).limitsFor('a').blockIngestionUntilMs, `${text}`).to.equal(ms);
    }
    expect(read('2026-12-01').effective().limits_config).to.include({ block_ingestion_until: '2026-12-01T00:00:00Z' });
    expect(read(0).effective().limits_config).to.include({ block_ingestion_until: '0' });
    for (const wrong of ['tomorrow', '2026-13-01', '2026-12-01T08:00:00', 5]) {
      expect(problemsOf({ block_ingestion_until: wrong }), `${wrong}`).to.have.length(1);
    }
    expect(problemsOf({ block_ingestion_status_code: 100 })).to.deep.equal([
      'limits.block_ingestion_status_code: got 100, want an HTTP status, 200 to 599',
    ]);
  });

  it('refuse unknown keys and bad values, all at once, by key and value, with what is allowed', () => {
    const config = { max_lin_size: 1, max_line_size: 'big', reject_old_samples: 'yes', deletion_mode: 'never' };
    expect(problemsOf(config, { a: { query_timeout: '7 parsecs' } })).to.have.members([
      'limits.max_lin_size: no such limit',
      'limits.max_line_size: got "big", want a size: a number of bytes, or such as 256KB, 3MB',
      'limits.reject_old_samples: got "yes", want true or false',
      'limits.deletion_mode: got "never", want one of disabled, filter-only, filter-and-delete',
      'overrides.a.query_timeout: got "7 parsecs", want a duration: such as 10m, 721h, 1w, 30d',
    ]);
    expect(problemsOf('x')).to.have.length(1);
    expect(problemsOf({}, [])).to.have.length(1);
    expect(
      problemsOf({ max_label_name_length: -1, discover_service_name: 'x', ingestion_rate_mb: '4' }),
    ).to.have.length(3);
  });

  it('read sizes in powers of 1024, and durations of Go and Prometheus', () => {
    expect(['256KB', '3MB', '1.5KiB', '10B', '7', 12, '1GB'].map(parseSize)).to.deep.equal([
      262_144, 3_145_728, 1536, 10, 7, 12, 1_073_741_824,
    ]);
    expect(['', 'KB', '-1', '1XB', 1.5, -1, null].map(parseSize)).to.deep.equal(new Array(7).fill(undefined));
    expect(['721h', '1w', '30d', '1h30m', '1.5s', '0', 0, '100ms', '2y'].map(parseDuration)).to.deep.equal([
      2_595_600_000, 604_800_000, 2_592_000_000, 5_400_000, 1500, 0, 0, 100, 63_072_000_000,
    ]);
    expect(['', '5', 5, '1x', '-1s', 'h'].map(parseDuration)).to.deep.equal(new Array(6).fill(undefined));
    expect([0, 500, 1024, 1536 * 1024].map(sizeText)).to.deep.equal(['0B', '500B', '1KB', '1536KB']);
    expect([0, 600_000, 90_061_001, 604_800_000].map(durationText)).to.deep.equal(['0s', '10m', '1d1h1m1s1ms', '1w']);
  });
});
