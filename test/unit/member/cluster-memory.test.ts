import { expect } from 'chai';
import type { StreamMemory } from '../../../src/actors/memory-source.ts';
import type { CallOptions, PeerAddress, Peers } from '../../../src/cluster/transport/peers.ts';
import type { Member, View } from '../../../src/cluster/view.ts';
import { ClusterMemory } from '../../../src/member/cluster-memory.ts';
import { encodeSelection } from '../../../src/member/selection-message.ts';
import { bytesOfText } from '../../../src/protocol/byte-text.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { systemClock } from '../../../src/system-clock.ts';

const RANGE = { startNs: 0n, endNs: 1n };
const NOTHING: StreamMemory = {
  select: async () => [],
  labelSets: async () => [],
  subscribe: () => () => undefined,
} satisfies Partial<StreamMemory> as unknown as StreamMemory;

const memberOf = (nodeId: string, incarnation = 1): Member => ({
  nodeId,
  incarnation,
  address: '',
  httpAddress: '',
  zone: '',
  weight: 1,
  state: 'ACTIVE',
  diskId: nodeId,
  protocol: { min: 1, max: 1 },
});

const viewOf = (changedAt: number, nodeIds: readonly string[], disks = nodeIds): View => ({
  changedAt,
  members: nodeIds.map((nodeId) => memberOf(nodeId)),
  roster: disks.map((nodeId) => ({ nodeId, diskId: nodeId, incarnation: 1 })),
});

/** A segment that the other side keeps until the call ends. */
const DEFERRED = {
  id: { nodeId: 'x', incarnation: 1, counter: 1 },
  minTime: 0n,
  maxTime: 1n,
  bytes: 100_000,
  place: 0,
};

class OtherMembers {
  readonly asked: { readonly nodeId: string; readonly signal: AbortSignal | undefined }[] = [];
  /** Of the answers. */
  changedAt = 1;
  onAsk: () => void = () => undefined;

  get open(): number {
    return this.asked.filter(({ signal }) => !signal?.aborted).length;
  }

  readonly peers: Peers = {
    request: () => Promise.reject(new Error('nobody asks')),
    close: async () => undefined,
    stream: ({ nodeId }: PeerAddress, _kind: number, _body: readonly Uint8Array[], { signal }: CallOptions) => {
      this.asked.push({ nodeId, signal });
      this.onAsk();
      return this.#answers();
    },
  };

  async *#answers(): AsyncGenerator<Uint8Array> {
    const streams = [{ labelText: bytesOfText('{a="b"}'), snapshots: [], deferred: [DEFERRED] }];
    yield Buffer.concat(encodeSelection({ changedAt: this.changedAt, isLast: true, streams }));
    await new Promise(() => undefined);
  }
}

const memoryOf = ({ peers }: OtherMembers, freshView: () => Promise<View>): ClusterMemory =>
  new ClusterMemory({ clock: systemClock, peers, nodeId: 'a', local: NOTHING, tails: NOTHING, freshView });

const codeOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'answered',
    (error: unknown) => (error instanceof RefusedError ? error.refusal.code : String(error)),
  );

describe('ClusterMemory', function () {
  this.timeout(10_000);

  it('keeps no call open for a query that ends while the view is read', async () => {
    const others = new OtherMembers();
    const query = new AbortController();
    const memory = memoryOf(others, async () => {
      query.abort();
      return viewOf(1, ['a', 'b']);
    });
    expect(await codeOf(memory.select('t', [], RANGE, query.signal))).to.equal('CANCELLED');
    expect(others.open).to.equal(0);
  });

  it('keeps no call open for a query that ends while it is answered, or after', async () => {
    for (const isAtOnce of [true, false]) {
      const others = new OtherMembers();
      const query = new AbortController();
      if (isAtOnce) others.onAsk = () => query.abort();
      const memory = memoryOf(others, async () => viewOf(1, ['a', 'b', 'c']));
      const selected = memory.select('t', [], RANGE, query.signal);
      expect(await codeOf(selected)).to.equal(isAtOnce ? 'CANCELLED' : 'answered');
      expect(others.open).to.equal(isAtOnce ? 0 : 2);
      query.abort();
      expect(others.open).to.equal(0);
    }
  });

  it('asks nobody while a disk is missing, and refuses if it stays so', async () => {
    const others = new OtherMembers();
    let views = 0;
    const memory = memoryOf(others, async () => {
      views += 1;
      return viewOf(1, ['a', 'b'], ['a', 'b', 'c']);
    });
    expect(await codeOf(memory.select('t', [], RANGE, new AbortController().signal))).to.equal('STORAGE_UNAVAILABLE');
    expect(others.asked).to.deep.equal([]);
    expect(views, 'it asked again, and gave up').to.be.within(2, 12);
  });

  it('answers once the disk is back', async () => {
    const others = new OtherMembers();
    let views = 0;
    const memory = memoryOf(others, async () => {
      views += 1;
      return views < 3 ? viewOf(1, ['a', 'b'], ['a', 'b', 'c']) : viewOf(2, ['a', 'b', 'c']);
    });
    expect(await memory.select('t', [], RANGE, new AbortController().signal)).to.have.lengthOf(1);
    expect(others.asked.map(({ nodeId }) => nodeId)).to.deep.equal(['b', 'c']);
  });

  it('says at once what is missing where the answer need not be whole', async () => {
    const others = new OtherMembers();
    const memory = memoryOf(others, async () => viewOf(1, ['a', 'b'], ['a', 'b', 'c']));
    const missing: string[] = [];
    const { signal } = new AbortController();
    await memory.select('t', [], RANGE, signal, (reason) => missing.push(reason));
    expect(missing).to.have.lengthOf(1);
    expect(others.asked).to.have.lengthOf(1);
  });

  it('asks again where an answer is of a later view with other members', async () => {
    const others = new OtherMembers();
    others.changedAt = 2;
    const views = [viewOf(1, ['a', 'b']), viewOf(2, ['a', 'b', 'c'])];
    const memory = memoryOf(others, async () => (views.length > 1 ? views.shift() : views[0]) as View);
    await memory.select('t', [], RANGE, new AbortController().signal);
    expect(others.asked.map(({ nodeId }) => nodeId)).to.deep.equal(['b', 'b', 'c']);
    expect(others.asked[0]?.signal?.aborted, 'the first round').to.equal(true);
  });

  it('goes by its own view where a later one has the same members, and reads that once', async () => {
    const others = new OtherMembers();
    others.changedAt = 5;
    let views = 0;
    const memory = memoryOf(others, async () => {
      views += 1;
      return viewOf(1, ['a', 'b']);
    });
    for (let query = 0; query < 3; query += 1) await memory.select('t', [], RANGE, new AbortController().signal);
    expect([others.asked.length, views]).to.deep.equal([3, 4]);
  });

  it('refuses where the members do not stop changing', async () => {
    const others = new OtherMembers();
    let revision = 1;
    const memory = memoryOf(others, async () => {
      revision += 1;
      others.changedAt = revision + 1;
      return viewOf(revision, ['a', revision % 2 === 0 ? 'b' : 'c']);
    });
    expect(await codeOf(memory.select('t', [], RANGE, new AbortController().signal))).to.equal('STORAGE_UNAVAILABLE');
    expect(others.open).to.equal(0);
  });
});
