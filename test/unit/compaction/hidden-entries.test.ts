import { expect } from 'chai';
import fc from 'fast-check';
import { prepareCodec } from '../../../src/chunk/block-codec.ts';
import { BlockCursor } from '../../../src/chunk/block-reader.ts';
import { type ChunkView, decodeChunk, encodeChunk } from '../../../src/chunk/chunk-object.ts';
import { deletedEntriesOf } from '../../../src/compaction/delete-request.ts';
import type { DeletedEntries, HiddenEntries } from '../../../src/query/scan/hidden-entries.ts';
import { rewriteChunk } from '../../../src/query/scan/rewrite-chunk.ts';
import { answerOf } from '../query/query-answers.ts';
import { inThreadPool } from '../query/scan-pools.ts';
import { at, BASE_NS, segmentOf } from '../query/test-blocks.ts';
import { requestOf, sourcesOf } from '../query/test-sources.ts';

const MS = 1_000_000;
const BASE_MS = Number(BASE_NS / 1_000_000n);

const deleting = (query: string, startMs: number, endMs: number): DeletedEntries => {
  const deleted = deletedEntriesOf({
    tenant: 'test',
    requestId: '1',
    query,
    startMs: BASE_MS + startMs,
    endMs: BASE_MS + endMs,
    createdMs: 0,
  });
  if (!deleted) throw new Error(`cannot be read: ${query}`);
  return deleted;
};

/** One line a ms: every third is secret, every fifth has `kind=trace`. */
const entries = Array.from({ length: 40 }, (_, index) =>
  at(index * MS, `${index}${index % 3 === 0 ? ' secret' : ''}`, index % 5 === 0 ? ['kind', 'trace'] : undefined),
);
const numbers = entries.map((_, index) => index);

const segment = (counter = 0) =>
  segmentOf([entries.slice(0, 15), entries.slice(15, 30), entries.slice(30)], { counter });

const WHOLE = { startNs: BASE_NS, endNs: BASE_NS + 1_000_000_000n };

const hiding = (hidden: Partial<HiddenEntries>) => async (): Promise<HiddenEntries> => ({
  deletes: [],
  retention: [],
  ...hidden,
});

const CASES: readonly { name: string; hidden: Partial<HiddenEntries>; isHidden: (index: number) => boolean }[] = [
  { name: 'nothing', hidden: {}, isHidden: () => false },
  {
    name: 'the lines of a filter within its times, both ends included',
    hidden: { deletes: [deleting('{app="web"} |= "secret"', 6, 21)] },
    isHidden: (index) => index >= 6 && index <= 21 && index % 3 === 0,
  },
  {
    name: 'entries by their structured metadata',
    hidden: { deletes: [deleting('{app="web"} | kind="trace"', 0, 100)] },
    isHidden: (index) => index % 5 === 0,
  },
  { name: 'whole times', hidden: { deletes: [deleting('{}', 10, 100)] }, isHidden: (index) => index >= 10 },
  {
    name: 'what several requests name',
    hidden: { deletes: [deleting('{app="web"} |= "secret"', 0, 9), deleting('{app=~".+"}', 20, 24)] },
    isHidden: (index) => (index <= 9 && index % 3 === 0) || (index >= 20 && index <= 24),
  },
  {
    name: 'nothing of other streams',
    hidden: { deletes: [deleting('{app="other"}', 0, 100)] },
    isHidden: () => false,
  },
  {
    name: 'what is past the retention of the first rule that matches',
    hidden: {
      retention: [
        { matchers: [{ name: 'app', op: '=', value: 'web' }], keptFromNs: BASE_NS + 17n * BigInt(MS) },
        { matchers: [], keptFromNs: BASE_NS + 30n * BigInt(MS) },
      ],
    },
    isHidden: (index) => index < 17,
  },
  {
    name: 'nothing where the first rule keeps for ever',
    hidden: {
      retention: [
        { matchers: [{ name: 'app', op: '=', value: 'web' }], keptFromNs: undefined },
        { matchers: [], keptFromNs: BASE_NS + 30n * BigInt(MS) },
      ],
    },
    isHidden: () => false,
  },
];

describe('hidden entries', () => {
  before(() => prepareCodec('zstd'));

  for (const { name, hidden, isHidden } of CASES) {
    const shown = numbers.filter((index) => !isHidden(index));
    for (const place of ['memory', 'stored', 'both'] as const) {
      it(`${name}: in no answer, ${place}`, async () => {
        const streams = [
          {
            labels: { app: 'web' },
            ...(place !== 'stored' && { memory: [segment()] }),
            ...(place !== 'memory' && { stored: [segment()] }),
          },
        ];
        const ask = (query: string, more: object = {}) =>
          answerOf(
            requestOf(query, { ...WHOLE, ...more }),
            sourcesOf(streams),
            inThreadPool(),
            undefined,
            hiding(hidden),
          );
        for (const direction of ['forward', 'backward'] as const) {
          const expected = direction === 'forward' ? shown : shown.toReversed();
          expect(linesOf(await ask('{app="web"}', { direction }), direction === 'forward'), direction).to.deep.equal(
            expected,
          );
          expect(linesOf(await ask('{app="web"}', { direction, limit: 7 }), direction === 'forward')).to.deep.equal(
            expected.slice(0, 7),
          );
          expect(linesOf(await ask('{app="web"} |= "secret"', { direction }), direction === 'forward')).to.deep.equal(
            expected.filter((index) => index % 3 === 0),
          );
        }
        const instant = { isInstant: true, startNs: BASE_NS + 50n * BigInt(MS), endNs: BASE_NS + 50n * BigInt(MS) };
        expect(countOf(await ask('sum(count_over_time({app="web"}[1s]))', instant))).to.equal(shown.length);
        expect(countOf(await ask('sum(count_over_time({app="web"} | kind="trace" [1s]))', instant))).to.equal(
          shown.filter((index) => index % 5 === 0).length,
        );
      });
    }
  }

  it('are taken out of chunks, the others kept with their metadata: whatever is deleted', async () => {
    const { blocks, symbols } = segment();
    const form = { version: 4, encoding: 'snappy', blocks, symbols } as const;
    const chunk = encodeChunk({ tenant: 'test', fingerprint: 7n, labels: ['app', 'web'], ...form });
    const before = entriesOf(decodeChunk(chunk.bytes));
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            query: fc.constantFrom('{app="web"}', '{} |= "secret"', '{app="web"} | kind="trace"', '{app="b"}'),
            start: fc.integer({ min: -5, max: 45 }),
            length: fc.integer({ min: 1, max: 30 }),
          }),
          { maxLength: 3 },
        ),
        async (asked) => {
          const deletes = asked.map(({ query, start, length }) => deleting(query, start, start + length));
          const isHidden = (index: number): boolean =>
            asked.some(({ query, start, length }) => {
              if (index < start || index > start + length || query.includes('"b"')) return false;
              return query.includes('secret') ? index % 3 === 0 : query.includes('trace') ? index % 5 === 0 : true;
            });
          const kept = before.filter((_, index) => !isHidden(index));
          const task = { kind: 'rewrite', bytes: chunk.bytes.slice(), checksum: chunk.checksum, deletes } as const;
          const rewritten = await rewriteChunk(task);
          if (kept.length === before.length) expect(rewritten.outcome).to.equal('kept');
          else if (kept.length === 0) expect(rewritten).to.deep.equal({ outcome: 'dropped', lines: before.length });
          else {
            if (rewritten.outcome !== 'rewritten') throw new Error(rewritten.outcome);
            expect(rewritten.lines).to.equal(before.length - kept.length);
            const view = decodeChunk(rewritten.chunk.bytes, { checksum: rewritten.chunk.checksum });
            expect(entriesOf(view)).to.deep.equal(kept);
            expect(view.labels).to.deep.equal(['app', 'web']);
            const again = await rewriteChunk({ ...task, bytes: chunk.bytes.slice() });
            expect(again, 'the same bytes each time').to.deep.equal(rewritten);
          }
        },
      ),
      { numRuns: 100 },
    );
  });

  it('keep nothing of the metadata that went with them, and skip blocks as before', async () => {
    const tagged = segmentOf([
      [at(0, 'first '.repeat(700), ['email', 'alice@example.com'])],
      [
        at(MS, Array.from({ length: 9000 }, (_, index) => `second ${index * 7919}`).join(' '), [
          'email',
          'bob@example.com',
        ]),
      ],
    ]);
    const stored = encodeChunk({
      tenant: 'test',
      fingerprint: 1n,
      labels: ['app', 'web'],
      version: 4,
      encoding: 'snappy',
      blocks: tagged.blocks,
      symbols: tagged.symbols,
    });
    const deletes = [deleting('{} | email="alice@example.com"', 0, 100)];
    const rewritten = await rewriteChunk({ kind: 'rewrite', bytes: stored.bytes, checksum: stored.checksum, deletes });
    if (rewritten.outcome !== 'rewritten') throw new Error(rewritten.outcome);
    const view = decodeChunk(rewritten.chunk.bytes);
    expect(view.symbols().filter((text) => text !== '')).to.have.members(['email', 'bob@example.com']);
    expect(Buffer.from(rewritten.chunk.bytes).includes('alice')).to.equal(false);
    expect(view.skipFilter(0)).to.deep.equal(decodeChunk(stored.bytes).skipFilter(1));
    expect(view.skipFilter(0)).to.not.equal(undefined);
  });
});

const linesOf = (answer: Awaited<ReturnType<typeof answerOf>>, isForward: boolean): readonly number[] => {
  if (answer.type !== 'streams') throw new Error(answer.type);
  // Structured metadata splits the stream.
  const all = answer.streams.flatMap(({ entries: found }) => found.map(({ line }) => Number.parseInt(line, 10)));
  return all.sort((a, b) => (isForward ? a - b : b - a));
};

const countOf = (answer: Awaited<ReturnType<typeof answerOf>>): number => {
  if (answer.type !== 'vector') throw new Error(answer.type);
  return answer.series[0]?.values[0] ?? 0;
};

const entriesOf = (view: ChunkView): readonly string[] => {
  const found: string[] = [];
  const symbols = view.symbols();
  for (const [index, { count, minTime, maxTime }] of view.blocks.entries()) {
    const plain = view.inflateBlock(index);
    const cursor = new BlockCursor(plain, view.hasMetadataSections);
    const times: bigint[] = [];
    while (cursor.next()) {
      const metadata = cursor.metadataRefs().map((ref) => symbols[ref]);
      times.push(cursor.timeNs());
      found.push(`${cursor.timeNs()} ${plain.toString('utf8', cursor.lineStart, cursor.lineEnd)} ${metadata}`);
    }
    expect([count, minTime, maxTime]).to.deep.equal([times.length, times[0], times.at(-1)]);
  }
  return found;
};
