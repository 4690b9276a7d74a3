import { expect } from 'chai';
import { PeerError, type Peers } from '../../../src/cluster/transport/peers.ts';
import type { Member } from '../../../src/cluster/view.ts';
import { RemoteScans } from '../../../src/member/remote-scans.ts';
import { ScanServer } from '../../../src/member/scan-server.ts';
import type { QueryRequest, QueryResult } from '../../../src/query/query-messages.ts';
import { answerOf } from '../query/query-answers.ts';
import { inThreadPool } from '../query/scan-pools.ts';
import { at, segmentOf } from '../query/test-blocks.ts';
import { requestOf, sourcesOf, type TestSources } from '../query/test-sources.ts';

const STREAMS = 12;
const BLOCKS = 3;
const ENTRIES = 400;
const MEMBER = { nodeId: 'b', incarnation: 1 } as Member;

/** Times of all streams interleave; each has a chunk of several blocks, of which a read takes a part. */
const stored = (): TestSources =>
  sourcesOf(
    Array.from({ length: STREAMS }, (_, stream) => ({
      labels: { app: `a${stream}` },
      stored: [
        segmentOf(
          Array.from({ length: BLOCKS }, (_, block) =>
            Array.from({ length: ENTRIES }, (_, entry) => {
              const time = (block * ENTRIES + entry) * STREAMS + stream;
              return at(time, `level=${entry % 3 === 0 ? 'error' : 'info'} entry=${time}`);
            }),
          ),
        ),
      ],
    })),
  );

/** Another node with a worker and the same store, behind what would be the network. */
const otherNode = (sources: TestSources, fail: () => boolean = () => false) => {
  const server = new ScanServer({
    pool: inThreadPool(1),
    chunks: sources.stored.chunks,
    selected: () => undefined,
  });
  let scans = 0;
  const peers = {
    request: async (_to: unknown, _kind: number, body: readonly Uint8Array[], { signal }: { signal: AbortSignal }) => {
      if (fail()) throw new PeerError('UNREACHABLE', 'cut off');
      scans += 1;
      const from = { nodeId: 'a', incarnation: 1, address: '' };
      const answers = await server.run(Buffer.concat(body), { from, class: 'query', deadlineMs: 1000, signal });
      return Buffer.concat(answers);
    },
  } as unknown as Peers;
  return { place: new RemoteScans(peers, MEMBER, 1), scans: () => scans };
};

const linesOf = (result: QueryResult): string[] =>
  result.type === 'streams' ? result.streams.flatMap(({ entries }) => entries.map(({ line }) => line)) : [];

describe('a log query with workers of another node', () => {
  const cases: readonly Partial<QueryRequest>[] = [
    { direction: 'forward', limit: 100_000 },
    { direction: 'backward', limit: 100_000 },
    { direction: 'backward', limit: 50 },
    { direction: 'forward', limit: 700 },
  ];
  for (const options of cases) {
    it(`has the answer of one that reads alone: ${options.direction}, limit ${options.limit}`, async () => {
      for (const query of ['{app=~"a.+"}', '{app=~"a.+"} |= "error"', '{app=~"a.+"} | logfmt | entry > 500']) {
        const request = requestOf(query, options);
        const alone = await answerOf(request, stored(), inThreadPool(1));
        const sources = stored();
        const { place, scans } = otherNode(sources);
        const shared = await answerOf(request, sources, inThreadPool(1), () => [place]);
        expect(linesOf(shared)).to.deep.equal(linesOf(alone));
        expect(linesOf(shared)).to.have.length.above(40);
        expect(scans(), 'reads of the other node').to.be.above(1);
        expect(shared.statistics.chunksDownloaded, 'what the other node fetched counts').to.be.above(0);
        expect(shared.statistics.linesProcessed).to.be.above(40);
      }
    });
  }

  it('reads itself what the other node does not answer, wherever that fails', async () => {
    const request = requestOf('{app=~"a.+"}', { limit: 100_000 });
    const alone = await answerOf(request, stored(), inThreadPool(1));
    const sources = stored();
    let calls = 0;
    const { place, scans } = otherNode(sources, () => {
      calls += 1;
      return calls % 3 === 0;
    });
    const shared = await answerOf(request, sources, inThreadPool(1), () => [place]);
    expect(linesOf(shared)).to.deep.equal(linesOf(alone));
    expect(scans()).to.be.above(1);
    expect(calls).to.be.above(scans());
  });
});
