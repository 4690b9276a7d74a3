import { expect } from 'chai';
import type { IncomingCall } from '../../../src/cluster/transport/peers.ts';
import { encodeTask } from '../../../src/member/scan-message.ts';
import { ScanServer } from '../../../src/member/scan-server.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { noCounts, type ScanPlan, type ScanResult } from '../../../src/query/scan/scan-messages.ts';

const REF = { tenant: 't', fingerprint: 0n, fromMs: 0, throughMs: 1, key: 'k', checksum: 1 };
const RESULT: ScanResult = { kind: 'metric', parts: [], counts: noCounts() };

describe('ScanServer', () => {
  it('fetches chunks for so many tasks at a time, lets as many wait, and refuses the rest', async () => {
    const fetched: (() => void)[] = [];
    const server = new ScanServer({
      pool: { size: 1, run: async () => RESULT },
      chunks: {
        get: () => new Promise((resolve) => fetched.push(() => resolve(new Uint8Array(8)))),
        getRange: async () => undefined,
      },
      selected: () => undefined,
    });
    const call = new AbortController();
    const incoming: IncomingCall = {
      from: { nodeId: 'b', incarnation: 1, address: '' },
      class: 'query',
      deadlineMs: 1000,
      signal: call.signal,
    };
    const slice = { startNs: 0n, endNs: 1n, memory: [], refs: [REF] };
    const plan = { scanId: 's', matchers: [], stages: [], hints: { extract: 'all' }, scan: { kind: 'log' } };
    const body = Buffer.concat(encodeTask([plan as unknown as ScanPlan], { slices: [slice] }));
    const outcomes: string[] = [];
    const tasks = Array.from({ length: 12 }, async () => {
      try {
        await server.run(body, incoming);
        outcomes.push('ran');
      } catch (error) {
        outcomes.push(error instanceof RefusedError ? error.refusal.code : 'given up');
      }
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(fetched).to.have.lengthOf(2);
    expect(outcomes).to.deep.equal(['OVERLOADED', 'OVERLOADED']);
    fetched.shift()?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect([fetched.length, outcomes.at(-1)]).to.deep.equal([2, 'ran']);
    call.abort();
    for (const finish of fetched) finish();
    await Promise.all(tasks);
    expect(outcomes.filter((outcome) => outcome === 'given up')).to.have.lengthOf(7);
  });
});
