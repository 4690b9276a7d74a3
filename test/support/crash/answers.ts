import { expect } from 'chai';
import type { RinglogNode } from '../../../src/node.ts';
import type { MetricSeries } from '../../../src/query/query-messages.ts';
import { logRequest } from '../cluster.ts';
import { T0_NS } from '../entries.ts';

export interface Pushed {
  /** Lines of which a client was told that they are stored. */
  readonly acknowledged: Iterable<string>;
  /** All that may be there. */
  readonly sent: ReadonlySet<string>;
}

const HOUR_NS = 3_600_000_000_000n;
const EVERYTHING = '{app=~".+"}';

/**
 * Lines must differ from each other. Every acknowledged one is in the answers, once, and counted, once; nothing else is.
 * @returns how many entries the node had more than once, and showed once
 */
export const checkAnswers = async (
  node: RinglogNode,
  when: string,
  { acknowledged, sent }: Pushed,
): Promise<number> => {
  const { found, duplicates } = await linesByStream(node);
  const lines = [...found.values()].flat();
  const once = new Set(lines);
  expect([...acknowledged].filter((line) => !once.has(line)).map(brief), `${when}: lost`).to.deep.equal([]);
  expect(repeated(lines).map(brief), `${when}: doubled`).to.deep.equal([]);
  expect(lines.filter((line) => !sent.has(line)).map(brief), `${when}: invented`).to.deep.equal([]);
  const counts = new Map([...found].map(([app, { length }]) => [app, length]));
  expect(await countsByStream(node), `${when}: counted`).to.deep.equal(counts);
  return duplicates;
};

const brief = (line: string): string => line.slice(0, 24);

const repeated = (lines: readonly string[]): readonly string[] => {
  const seen = new Set<string>();
  return lines.filter((line) => seen.size === seen.add(line).size);
};

const appOf = (labels: readonly string[]): string => labels[labels.indexOf('app') + 1] ?? '';

const linesByStream = async (
  node: RinglogNode,
): Promise<{ readonly found: ReadonlyMap<string, readonly string[]>; readonly duplicates: number }> => {
  const answer = await node.services.queryAll(logRequest(EVERYTHING), new AbortController().signal);
  if (answer.type !== 'streams') throw new Error(`expected streams, got ${answer.type}`);
  const byApp = answer.streams.map(({ labels, entries }) => [appOf(labels), entries.map(({ line }) => line)] as const);
  return { found: new Map([...byApp].sort()), duplicates: answer.statistics.duplicates };
};

const countsByStream = async (node: RinglogNode): Promise<ReadonlyMap<string, number>> => {
  const atNs = T0_NS + 12n * HOUR_NS;
  const request = logRequest(`sum by (app) (count_over_time(${EVERYTHING}[24h]))`, {
    startNs: atNs,
    endNs: atNs,
    isInstant: true,
  });
  const answer = await node.services.queryAll(request, new AbortController().signal);
  if (answer.type !== 'vector') throw new Error(`expected a vector, got ${answer.type}`);
  const counts = answer.series.map(({ labels, values }: MetricSeries) => [appOf(labels), values[0] ?? 0] as const);
  return new Map([...counts].sort());
};
