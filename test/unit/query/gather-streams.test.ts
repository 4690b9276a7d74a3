import { expect } from 'chai';
import { gatherStreams } from '../../../src/query/gather-streams.ts';
import type { QuerySources } from '../../../src/query/query-source.ts';
import { ChunkRefs } from '../../../src/storage/chunk-refs.ts';
import { labelsOf } from '../../support/entries.ts';
import { turnsDuring } from '../../support/turns-during.ts';

describe('gathering the streams of a query', () => {
  it('leaves turns to others, where there are very many', async () => {
    const memory = Array.from({ length: 20_000 }, (_, index) => ({
      labels: labelsOf(`{app="${index}"}`),
      segments: [],
    }));
    const stored = { index: { chunkRefs: async () => new ChunkRefs('t') } };
    const sources = { memory: { select: async () => memory }, stored } as unknown as QuerySources;
    const { signal } = new AbortController();
    const gathered = gatherStreams(sources, 't', [], { startNs: 0n, endNs: 1n }, { signal });
    expect(await turnsDuring(gathered)).to.be.at.least(4);
    expect([...(await gathered).streams()]).to.have.length(memory.length);
  });
});
