import { expect } from 'chai';
import type { IncomingCall } from '../../../src/cluster/transport/peers.ts';
import { encodeTask } from '../../../src/member/scan-message.ts';
import { ScanServer } from '../../../src/member/scan-server.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { noCounts, type ScanPlan, type ScanResult } from '../../../src/query/scan/scan-messages.ts';

const REF = { tenant: 't', fingerprint: 0n, fromMs: 0, throughMs: 1, key: 'k', checksum: 1 };
const RESULT: ScanResult = { kind: 'metric', parts: [], counts: noCounts() };

const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

/** A server with one worker: two tasks at a time, eight may wait. `fetched` holds what ends the fetch of each task. */
const setup = () => {
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
  const outcomes: string[] = [];
  const run = async (tenant: string): Promise<void> => {
    const plan = { scanId: 's', tenant, matchers: [], stages: [], hints: { extract: 'all' }, scan: { kind: 'log' } };
    const body = Buffer.concat(encodeTask([plan as unknown as ScanPlan], { slices: [slice] }));
    try {
      await server.run(body, incoming);
      outcomes.push(`${tenant} ran`);
    } catch (error) {
      outcomes.push(`${tenant} ${error instanceof RefusedError ? error.refusal.code : 'given up'}`);
    }
  };
  return { call, fetched, outcomes, run };
};

describe('ScanServer', () => {
  it('fetches chunks for so many tasks at a time, lets as many wait, and refuses the rest', async () => {
    const { call, fetched, outcomes, run } = setup();
    const tasks = Array.from({ length: 12 }, () => run('a'));
    await turn();
    expect(fetched).to.have.lengthOf(2);
    expect(outcomes).to.deep.equal(['a OVERLOADED', 'a OVERLOADED']);
    fetched.shift()?.();
    await turn();
    expect([fetched.length, outcomes.at(-1)]).to.deep.equal([2, 'a ran']);
    call.abort();
    for (const finish of fetched) finish();
    await Promise.all(tasks);
    expect(outcomes.filter((outcome) => outcome === 'a given up')).to.have.lengthOf(7);
  });

  it('gives a tenant its turn whose task comes behind very many of another', async () => {
    const { fetched, outcomes, run } = setup();
    const tasks = [...Array.from({ length: 10 }, () => run('many')), run('few')];
    await turn();
    expect(outcomes).to.deep.equal(['many OVERLOADED']);
    for (let task = 0; task < 4; task += 1) {
      fetched.shift()?.();
      await turn();
    }
    expect(outcomes.slice(1)).to.deep.equal(['many ran', 'many ran', 'many ran', 'few ran']);
    while (fetched.length > 0) {
      fetched.shift()?.();
      await turn();
    }
    await Promise.all(tasks);
  });
});
