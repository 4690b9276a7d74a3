import { expect } from 'chai';
import { LabelQueries } from '../../../src/actors/label-queries.ts';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';
import type { StoredSource } from '../../../src/query/query-source.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { chunkFixtures } from '../chunk/chunk-fixtures.ts';

describe('series whose labels stand in their chunks alone (schemas v9 and v10)', () => {
  const [first, second] = chunkFixtures;
  const bytes = first?.bytes ?? Buffer.alloc(0);
  const own = decodeChunk(bytes).labels;

  /** Series by the keys of their chunks, and what the store has of these. */
  const seriesOf = async (
    series: readonly (readonly string[])[],
    objects: Readonly<Record<string, Buffer>>,
  ): Promise<readonly (readonly string[])[]> => {
    const refs = series.map((keys) => keys.map((key) => ({ key })));
    const stored = {
      index: { chunkRefs: async () => ({ streams: () => refs }) },
      chunks: { get: async (key: string) => objects[key] },
    };
    const queries = new LabelQueries({
      clock: systemClock,
      memory: { labelSets: async () => [] },
      stored: stored as unknown as StoredSource,
      series: { series: async () => series.map((_, id) => ({ id: `${id}`, labels: undefined })) } as never,
    });
    const found = await queries.series('t', [], { startNs: 0n, endNs: 1n });
    return found.map(({ pairs }) => pairs);
  };
  const errorOf = (asked: Promise<unknown>): Promise<string> =>
    asked.then(
      () => 'none',
      (error: Error) => error.message,
    );

  it('are those of the first chunk that can be read', async () => {
    const damaged = Buffer.from(bytes.subarray(0, -1));
    expect(await seriesOf([['gone', 'damaged', 'a', 'b']], { damaged, a: bytes })).to.deep.equal([own]);
  });

  it('are not left out where none can: the question is refused, and a chunk of theirs named', async () => {
    const objects = { a: bytes, b: second?.bytes ?? bytes };
    expect(await errorOf(seriesOf([['a'], ['gone 1', 'gone 2'], ['b']], objects))).to.equal(
      'chunk gone 2 cannot be read: the index names it and the store does not have it',
    );
    expect(await errorOf(seriesOf([['cut']], { cut: Buffer.from(bytes.subarray(0, 9)) }))).to.match(
      /^chunk cut cannot be read: ./,
    );
  });
});
