import { expect } from 'chai';
import fc from 'fast-check';
import type { SegmentSnapshot } from '../../../src/chunk/memory-format.ts';
import type { QueryRequest, QueryResult } from '../../../src/query/query-messages.ts';
import { seededRandom } from '../../support/corpus.ts';
import type { TestEntry } from '../../support/entries.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { answerOf } from './query-answers.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf } from './test-sources.ts';

const RUNS = { numRuns: propertyRuns(10) };
const APP = { app: 'web', team: 'payments' };

/** Lines that make every block large enough for a filter, and set few of its bits: noise of eight letters that occur in no text looked for. */
const random = seededRandom(1);
const FILLER = Array.from({ length: 100 }, () =>
  Array.from({ length: 120 }, () => 'qQzZjJvV'[Math.floor(8 * random())]).join(''),
);

const END = { startNs: BASE_NS + 1_000_000n, endNs: BASE_NS + 1_000_000n };

/** A block for each list, far apart in time. */
const blocksOf = (
  lists: readonly (readonly (readonly [line: string, metadata?: readonly string[] | undefined])[])[],
): SegmentSnapshot =>
  segmentOf(
    lists.map((lines, block): TestEntry[] => [
      ...FILLER.map((line, index) => at(1000 * block + index, line)),
      ...lines.map(([line, metadata], index) => at(1000 * block + 200 + index, line, metadata)),
    ]),
  );

const withoutFilters = (segment: SegmentSnapshot): SegmentSnapshot => ({
  ...segment,
  blocks: segment.blocks.map(({ skipFilter: _, ...block }) => block),
});

const ask = (query: string, segment: SegmentSnapshot, place: 'stored' | 'memory', more: Partial<QueryRequest> = {}) =>
  answerOf(requestOf(query, more), sourcesOf([{ labels: APP, [place]: [segment] }]));

const linesOf = (result: QueryResult): string[] =>
  result.type === 'streams' ? result.streams.flatMap(({ entries }) => entries.map(({ line }) => line)).sort() : [];

/** What an answer says, without how it came about. */
const saidBy = ({ statistics: _, ...said }: QueryResult): unknown => said;

const WORDS = [
  'error',
  'Error',
  'KILLED',
  'timeout',
  'ünïcödé',
  '日本語',
  'ſtaſk',
  '\u212Aelvin',
  'disk full',
  '🙂',
  'status=500',
  'x',
];
const word = fc.constantFrom(...WORDS);
const line = fc.oneof(
  { weight: 4, arbitrary: fc.array(word, { maxLength: 4 }).map((words) => words.join(' ')) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 12 }) },
  { weight: 2, arbitrary: word.map((value) => JSON.stringify({ level: value, app: value, status: 500 })) },
  {
    weight: 1,
    arbitrary: word.map((value) => `{"level": "\\u00${value.charCodeAt(0).toString(16).slice(-2)}${value.slice(1)}"}`),
  },
  { weight: 1, arbitrary: word.map((value) => `level="${value}" app=x`) },
);
const metadata = fc.option(
  word.map((value) => ['level', value]),
  { nil: undefined },
);
const lists = fc.array(fc.array(fc.tuple(line, metadata), { maxLength: 3 }), { minLength: 1, maxLength: 4 });

const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
const part = fc.oneof(
  word,
  word.map((text) => text.slice(0, 4)),
  word.map((text) => text.slice(1)),
  fc.constantFrom('', 'e', 'kill'),
);
const pattern = fc.oneof(
  part,
  part.map((text) => `(?i)${text}`),
  fc.tuple(part, part).map(([left, right]) => `${left}.*${right}`),
  fc.tuple(part, part).map(([left, right]) => `(?i)(${left}|${right})`),
  fc.tuple(part, part).map(([left, right]) => `${left}|(?i:${right})+`),
  part.map((text) => `^(${text})?.`),
  part.map((text) => `[a-z]+${text}\\b`),
);
const filter = fc.oneof(
  part.map((text) => `|= ${quoted(text)}`),
  fc.tuple(part, part).map(([left, right]) => `|= ${quoted(left)} or ${quoted(right)}`),
  part.map((text) => `!= ${quoted(text)}`),
  pattern.map((text) => `|~ ${quoted(text)}`),
  pattern.map((text) => `!~ ${quoted(text)}`),
  word.map((text) => `|> ${quoted(`<_>${text}<_>`)}`),
);
const stage = fc.oneof(
  { weight: 4, arbitrary: filter },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '| json',
      '| logfmt',
      '| line_format "{{.level}} timeout"',
      '| decolorize',
      '| level="error"',
      '| level="timeout" or level="x"',
      '| level=~"error|KILLED"',
      '| app_extracted="error" | level!=""',
      '| team="payments"',
      '| json l="level" | l="disk full"',
      '| pattern "<level> <_>"',
      '| regexp "(?P<level>[a-z]+)"',
      '| unpack',
      '| level=~"(?i)kill.*"',
      '| label_format level="disk full"',
      '| drop level',
    ),
  },
);
const stages = fc.array(stage, { minLength: 1, maxLength: 4 }).map((all) => all.join(' '));

describe('blocks with skip filters', () => {
  it('answer as without them, whatever is asked', async () => {
    let skipped = 0;
    await fc.assert(
      fc.asyncProperty(
        lists,
        stages,
        fc.boolean(),
        fc.constantFrom('stored', 'memory'),
        async (all, query, isForward, place) => {
          const segment = blocksOf(all);
          const more = { direction: isForward ? 'forward' : 'backward', limit: 7 } as const;
          const text = `{app="web"} ${query}`;
          const found = await ask(text, segment, place, more);
          expect(saidBy(found)).to.deep.equal(saidBy(await ask(text, withoutFilters(segment), place, more)));
          skipped += found.statistics.blocksSkipped;
        },
      ),
      RUNS,
    );
    expect(skipped).to.be.greaterThan(0);
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('are not inflated if no line can pass', async () => {
    const segment = blocksOf([
      [['a needle']],
      [['nothing here']],
      [['A NEEDLE, shouted']],
      [[`only in metadata`, ['trace', 'needle']]],
    ]);
    for (const place of ['stored', 'memory'] as const) {
      const found = await ask('{app="web"} |= "needle"', segment, place);
      expect(linesOf(found)).to.deep.equal(['a needle']);
      expect(found.statistics).to.include({ blocksSkipped: 2, blocksInflated: 2 });
      const shouted = await ask('{app="web"} |~ "(?i)needle"', segment, place);
      expect(linesOf(shouted)).to.deep.equal(['A NEEDLE, shouted', 'a needle']);
      expect(shouted.statistics).to.include({ blocksSkipped: 2, blocksInflated: 2 });
    }
  });

  it('are not inflated for a metric either', async () => {
    const segment = blocksOf([[['a needle']], [['nothing here']]]);
    const end = { ...END, isInstant: true };
    const found = await ask('sum(count_over_time({app="web"} |= "needle" [1m]))', segment, 'stored', end);
    expect(found.type === 'vector' && found.series[0]?.values).to.deep.equal([1]);
    expect(found.statistics).to.include({ blocksSkipped: 1, blocksInflated: 1 });
  });

  it('are not even fetched, of chunks so large that parts of them are read', async () => {
    const filler = Array.from({ length: 8 }, () => FILLER).flat();
    const blocks = Array.from({ length: 12 }, (_, block) => [
      ...filler.map((line, index) => at(10_000 * block + index, `${index % 97}${line}`)),
      at(10_000 * block + 5000, `needle ${block} `),
    ]);
    const source = sourcesOf([{ labels: APP, stored: [segmentOf(blocks)] }]);
    const [object] = source.objects.values();
    const fetchedFor = async (query: string, more: Partial<QueryRequest> = {}) => {
      source.ranges.length = 0;
      const found = await answerOf(requestOf(query, more), source);
      const fetched = source.ranges.reduce((sum, { start, end }) => sum + end - start, 0);
      return { lines: linesOf(found), share: fetched / object!.length, statistics: found.statistics };
    };
    const needle = await fetchedFor('{app="web"} |= "needle 3 "');
    expect(needle.lines).to.deep.equal(['needle 3 ']);
    expect(needle.statistics).to.include({ blocksInflated: 1, blocksSkipped: 11, chunksDownloaded: 1 });
    expect(needle.share).to.be.within(0.1, 0.5);
    const range = { startNs: BASE_NS + 34_990n, endNs: BASE_NS + 35_010n };
    const short = await fetchedFor('{app="web"} != "nothing"', range);
    expect(short.lines).to.deep.equal(['needle 3 ']);
    expect(short.share).to.be.within(0.05, 0.3);
    const counted = await fetchedFor('sum(count_over_time({app="web"} |= "needle 9 " [1m]))', {
      ...END,
      isInstant: true,
    });
    expect(counted.statistics).to.include({ blocksInflated: 1, blocksSkipped: 11 });
    expect(counted.share).to.be.within(0.1, 0.5);
  });

  it('are looked up by the values that labels of the line must have', async () => {
    const segment = blocksOf([
      [['level=error user=ab']],
      [['level=warning user=ab']],
      [['{"level":"error","user":"ab"}']],
    ]);
    for (const [query, inflated] of [
      ['| logfmt | level="error"', 2],
      ['| json | level="error" and user="ab"', 2],
      ['| logfmt | level=~"warning|fatal"', 1],
      ['| logfmt | level="warning" or level="fatal"', 1],
      ['| pattern "level=<level> <_>" | level="warning"', 1],
      ['| logfmt | level!="error"', 3],
      ['| logfmt | level="error" or user!=""', 3],
      ['| logfmt | user="ab"', 3],
      ['| label_format level="fatal" | logfmt | level="fatal"', 3],
      ['| line_format "level=fatal" | logfmt | level="fatal"', 3],
      ['| level="fatal"', 3],
      ['| logfmt | __error__="fatal"', 3],
    ] as const) {
      const found = await ask(`{app="web"} ${query}`, segment, 'stored', { limit: 1000 });
      expect(found.statistics.blocksInflated, query).to.equal(inflated);
      expect(saidBy(found), query).to.deep.equal(
        saidBy(await ask(`{app="web"} ${query}`, withoutFilters(segment), 'stored', { limit: 1000 })),
      );
    }
  });

  it('are inflated for a label that the stream has, that may be metadata, or whose value may be escaped', async () => {
    const escaped = blocksOf([[['{"level":"\\u0065rror"}']], [['nothing here']]]);
    const found = await ask('{app="web"} | json | level="error"', escaped, 'stored');
    expect([linesOf(found).length, found.statistics.blocksInflated]).to.deep.equal([1, 1]);
    const metadata = blocksOf([[['a line', ['level', 'error']]], [['nothing here']]]);
    const tagged = await ask('{app="web"} | json | level="error"', metadata, 'stored');
    expect([linesOf(tagged).length, tagged.statistics.blocksInflated]).to.deep.equal([1, 2]);
    // Every entry has metadata where levels are detected: of another name it changes nothing.
    const detected = ['detected_level', 'info'];
    const named = blocksOf([[['level=error', detected]], [['nothing here', detected]]]);
    for (const place of ['stored', 'memory'] as const) {
      const other = await ask('{app="web"} | logfmt | level="error"', named, place);
      expect([linesOf(other).length, other.statistics.blocksInflated], place).to.deep.equal([1, 1]);
    }
    const renamed = blocksOf([[['no value here', ['app', 'checkout']]], [['nothing here', ['app', 'cart']]]]);
    const extracted = await ask('{app="web"} | json | app_extracted="checkout" | drop __error__', renamed, 'stored');
    expect(linesOf(extracted)).to.deep.equal(['no value here']);
    const ofTenant = '{app="web", __tenant_id__="test"} | logfmt | __tenant_id__="test"';
    const two = { tenant: 'test|other', limit: 1000 };
    const said = saidBy(await ask(ofTenant, escaped, 'stored', two));
    expect(said).to.deep.equal(saidBy(await ask(ofTenant, withoutFilters(escaped), 'stored', two)));
    expect(said).to.have.property('streams').that.is.not.empty;
    const ofStream = await ask('{app="web"} | logfmt | team="payments" | drop __error__', escaped, 'stored', {
      limit: 1000,
    });
    expect(ofStream.statistics.blocksInflated).to.equal(2);
  });

  it('are counted once, however often a log query reads on', async () => {
    const lines = Array.from({ length: 30 }, (_, index): [string] => [`needle ${index}`]);
    const segment = blocksOf([lines, [['nothing here']], lines]);
    const found = await ask('{app="web"} |= "needle"', segment, 'stored', { limit: 60 });
    expect(linesOf(found)).to.have.length(60);
    expect(found.statistics.blocksSkipped).to.equal(1);
  });

  for (const [query, why] of [
    ['|~ "needle|.*"', 'a pattern that matches without the text'],
    ['!= "needle"', 'a filter that wants lines without it'],
    ['| line_format "needle" |= "needle"', 'a line that is written anew'],
    ['|= "ne"', 'a text shorter than a gram'],
    ['|~ "(?i)[n]eed"', 'a pattern of which three letters are known'],
    ['|= "needle" or "x"', 'an alternative of which nothing is known'],
  ] as const) {
    it(`are all inflated for ${why}: ${query}`, async () => {
      const segment = blocksOf([[['a needle']], [['nothing here']]]);
      const found = await ask(`{app="web"} ${query}`, segment, 'stored', { limit: 1000 });
      expect(found.statistics).to.include({ blocksSkipped: 0, blocksInflated: 2 });
    });
  }

  it('are looked up by every text a pattern needs', async () => {
    const segment = blocksOf([[['first and second']], [['first only']], [['second only']]]);
    for (const query of [
      '|~ "first.+second"',
      '|> "<_>first<_>second<_>"',
      '|= "first" |= "second"',
      '|~ "(first|third) and (?i:SECOND)"',
    ]) {
      const found = await ask(`{app="web"} ${query}`, segment, 'stored');
      expect(found.statistics, query).to.include({ blocksSkipped: 2, blocksInflated: 1 });
    }
  });

  it('know that letters outside ASCII may be meant by k and s, and only by these', async () => {
    const segment = blocksOf([[['\u212Aelvin']], [['nothing here']]]);
    const found = await ask('{app="web"} |~ "(?i)kelvin[a-z]*"', segment, 'stored');
    expect(linesOf(found)).to.deep.equal(['\u212Aelvin']);
    expect(found.statistics).to.include({ blocksSkipped: 1, blocksInflated: 1 });
  });
});
