import { expect } from 'chai';
import { Registry } from 'prom-client';
import type { DecodedPush, PushOutcome } from '../../../src/actors/node-services.ts';
import { PushMetrics } from '../../../src/http/push-metrics.ts';

const pushOf = (lines: number): DecodedPush => ({
  streams: [
    {
      labelText: Buffer.from('{a="b"}'),
      columns: {
        bytes: new Uint8Array(),
        lineOffsets: new Uint32Array(),
        times: new BigInt64Array(),
        metadata: undefined,
      },
      first: 0,
      end: lines,
    },
  ],
});

describe('push metrics', () => {
  const registry = new Registry();
  const metrics = new PushMetrics(registry);
  const linesOf = async (name: string): Promise<string[]> =>
    (await registry.getSingleMetricAsString(name)).split('\n').filter((line) => line.startsWith(name));
  const count = (tenant: string, lines: number, outcome: Partial<PushOutcome>): void =>
    metrics.count(tenant, pushOf(lines), { acceptedLines: 0, acceptedBytes: 0, refusal: undefined, ...outcome });

  it('count discarded lines by the reason of each, and what was refused together by the refusal', async () => {
    const invalid = { code: 'INVALID_ENTRIES', text: 'two kinds' } as const;
    count('a', 10, {
      acceptedLines: 5,
      acceptedBytes: 50,
      refusal: invalid,
      discarded: [
        { reason: 'line_too_long', lines: 3 },
        { reason: 'too_far_behind', lines: 2 },
      ],
    });
    count('a', 4, {
      refusal: { code: 'RATE_LIMITED', text: 'slow down', retryAfterMs: 1 },
      discarded: [{ reason: 'line_too_long', lines: 1 }],
    });
    count('b', 7, { refusal: { code: 'BAD_REQUEST', text: 'labels' } });
    count('b', 2, { acceptedLines: 2, acceptedBytes: 9 });
    expect(await linesOf('loki_discarded_samples_total')).to.deep.equal([
      'loki_discarded_samples_total{reason="line_too_long",tenant="a"} 4',
      'loki_discarded_samples_total{reason="too_far_behind",tenant="a"} 2',
      'loki_discarded_samples_total{reason="rate_limited",tenant="a"} 3',
      'loki_discarded_samples_total{reason="invalid_labels",tenant="b"} 7',
    ]);
    expect(await linesOf('loki_distributor_lines_received_total')).to.deep.equal([
      'loki_distributor_lines_received_total{tenant="a"} 5',
      'loki_distributor_lines_received_total{tenant="b"} 2',
    ]);
  });
});
