/** The recorded log queries of the conformance kit, run through the stages alone: no parser of requests, no storage, no engine. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { LogExpr } from '../../../../src/logql/ast.ts';
import { compilePipeline } from '../../../../src/logql/compile-pipeline.ts';
import { ALL_LABELS } from '../../../../src/logql/hints.ts';
import { compileLabelMatcher } from '../../../../src/logql/matcher.ts';
import { parseExpr } from '../../../../src/logql/parser.ts';
import { decodeUtf8 } from '../../../../src/logql/stages/utf8-text.ts';
import { RefusedError } from '../../../../src/protocol/refusal.ts';

type Labels = Readonly<Record<string, string>>;
type Value = readonly [ns: number, line: string, metadata?: Labels];

interface Case {
  readonly id: string;
  readonly category: string;
  readonly kind: string;
  readonly query: string;
  readonly start: string;
  readonly end: string;
  readonly limit?: number | string;
  readonly direction?: string;
  readonly bug?: boolean;
  readonly tenant?: string;
}

interface Answer {
  readonly t: string;
  readonly text?: string;
  readonly r?: readonly (readonly [labels: Labels, values: readonly (readonly unknown[])[]])[];
}

const ROOT = path.join(import.meta.dirname, '../../../conformance');
const BASE_NS = 1_710_028_800_000_000_000n;
/** Parameters that are not the pipeline's business. */
const OTHER_PARAMETERS = ['interval', 'step', 'as', 'headers', 'params', 'categorize', 'flags'];
const CATEGORIES = [
  'pipeline',
  'line-filters',
  'json',
  'json-paths',
  'logfmt',
  'regexp',
  'pattern',
  'unpack',
  'label-filters',
  'line-format',
  'label-format',
  'drop-keep',
  'metadata',
];

const UNITS_NS: Readonly<Record<string, bigint>> = {
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};

const offsetNs = (text: string): bigint => {
  let total = 0n;
  for (const [, digits = '0', unit = 's'] of text.matchAll(/(\d+)(ms|s|m|h)/g))
    total += BigInt(digits) * UNITS_NS[unit]!;
  return total;
};

const sortedKey = (labels: Labels): string =>
  JSON.stringify(Object.entries(labels).sort(([left], [right]) => (left < right ? -1 : 1)));

const readStreams = (): ReadonlyMap<string, { readonly labels: Labels; readonly values: Value[] }> => {
  const streams = new Map<string, { labels: Labels; values: Value[] }>();
  const files = readdirSync(path.join(ROOT, 'data')).filter((name) => name.endsWith('.jsonl'));
  for (const row of files.flatMap((name) =>
    readFileSync(path.join(ROOT, 'data', name), 'utf8')
      .trim()
      .split('\n'),
  )) {
    const push = JSON.parse(row) as { stream: Labels; values: Value[]; tenant?: string };
    if (push.tenant !== undefined) continue;
    const key = sortedKey(push.stream);
    const stream = streams.get(key) ?? { labels: push.stream, values: [] };
    stream.values.push(...push.values);
    streams.set(key, stream);
  }
  return streams;
};

/** As ingestion would: names made valid, no empty values. */
const metadataPairs = (metadata: Labels | undefined): readonly string[] | undefined => {
  const pairs = Object.entries(metadata ?? {}).filter(([, value]) => value !== '');
  return pairs.length === 0
    ? undefined
    : pairs.flatMap(([name, value]) => [name.replace(/[^A-Za-z0-9_]/g, '_'), value]);
};

interface Found {
  readonly ns: bigint;
  readonly text: string;
}

/** Result streams as sorted text, so that neither the order of streams nor that of equal times matters. */
const asText = (streams: ReadonlyMap<string, readonly string[]>): readonly string[] =>
  [...streams].map(([labels, entries]) => `${labels} ${JSON.stringify([...new Set(entries)].sort())}`).sort();

const answerOf = (query: Case, streams: ReturnType<typeof readStreams>): readonly string[] => {
  const { matchers, stages } = parseExpr(query.query) as LogExpr;
  const pipeline = compilePipeline(stages, { hints: ALL_LABELS });
  const tests = matchers.map((matcher) => [matcher.name, compileLabelMatcher(matcher)] as const);
  const found: Found[] = [];
  for (const { labels, values } of streams.values()) {
    if (!tests.every(([name, test]) => test(labels[name] ?? ''))) continue;
    const pairs = Object.entries(labels)
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .flat();
    const run = pipeline.forStream({ pairs, canonical: '', fingerprint: 0n });
    for (const [offset, line, metadata] of values) {
      const ns = BigInt(offset);
      if (ns < offsetNs(query.start) || ns >= offsetNs(query.end)) continue;
      const bytes = Buffer.from(line);
      if (!run.process(bytes, 0, bytes.length, () => BASE_NS + ns, metadataPairs(metadata))) continue;
      const final = run.finalLabels();
      const names = Object.fromEntries(
        final.flatMap((name, index) => (index % 2 === 0 ? [[name, final[index + 1]!]] : [])),
      );
      found.push({ ns, text: `${sortedKey(names)}\t${ns}|${decodeUtf8(run.lineBytes, run.lineStart, run.lineEnd)}` });
    }
  }
  const sign = query.direction === 'forward' ? 1n : -1n;
  found.sort((left, right) => Number((left.ns - right.ns) * sign));
  const results = new Map<string, string[]>();
  for (const { text } of found.slice(0, Number(query.limit ?? 100))) {
    const [labels = '', entry = ''] = [text.slice(0, text.indexOf('\t')), text.slice(text.indexOf('\t') + 1)];
    results.set(labels, [...(results.get(labels) ?? []), entry]);
  }
  return asText(results);
};

const expectedOf = ({ r = [] }: Answer): readonly string[] =>
  asText(
    new Map(
      r.map(([labels, values]) => [sortedKey(labels), values.map(([ns, line]) => `${String(ns)}|${String(line)}`)]),
    ),
  );

const isPlain = (query: Case, answer: Answer | undefined): answer is Answer =>
  query.kind === 'range' &&
  query.bug !== true &&
  query.tenant === undefined &&
  OTHER_PARAMETERS.every((name) => !(name in query)) &&
  (answer?.t === 'streams' || (answer?.t === 'error' && answer.text !== undefined));

const check = (query: Case, answer: Answer, streams: ReturnType<typeof readStreams>): void => {
  let got: readonly string[];
  try {
    got = answerOf(query, streams);
  } catch (error) {
    if (!(error instanceof RefusedError) || answer.t !== 'error') throw error;
    expect(error.refusal.text, `${query.id} ${query.query}`).to.equal(answer.text);
    return;
  }
  expect(got, `${query.id} ${query.query}`).to.deep.equal(expectedOf(answer));
};

describe('recorded answers of Loki', () => {
  const queries = JSON.parse(readFileSync(path.join(ROOT, 'queries.json'), 'utf8')) as readonly Case[];
  const recorded = gunzipSync(readFileSync(path.join(ROOT, 'expected.json.gz'))).toString('utf8');
  const { answers } = JSON.parse(recorded) as { readonly answers: Readonly<Record<string, Answer>> };
  const streams = readStreams();

  for (const category of CATEGORIES) {
    it(`are given for log queries of ${category}`, () => {
      let count = 0;
      for (const query of queries) {
        const answer = answers[query.id];
        if (query.category !== category || !isPlain(query, answer)) continue;
        check(query, answer, streams);
        count++;
      }
      expect(count).to.be.greaterThan(10);
    }).timeout(30_000);
  }
});
