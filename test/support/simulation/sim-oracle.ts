import type { QueryResult } from '../../../src/query/query-messages.ts';

/**
 * What was sent and what was acknowledged. Stands outside all that forgives faults.
 *
 *   acknowledged before the question ⊆ answer ⊆ sent before the answer, each line once
 */
export class SimOracle {
  /** By stream (value of `app`). */
  readonly #sent = new Map<string, Set<string>>();
  readonly #acknowledged = new Map<string, Set<string>>();
  readonly broken: string[] = [];
  acknowledgedCount = 0;
  checkedAnswers = 0;

  sent(app: string, line: string): void {
    add(this.#sent, app, line);
  }

  acknowledged(app: string, line: string): void {
    this.acknowledgedCount += 1;
    add(this.#acknowledged, app, line);
  }

  /** What an answer to a question asked now must have. */
  mark(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#acknowledged].map(([app, lines]) => [app, [...lines]]));
  }

  check(when: string, must: ReadonlyMap<string, readonly string[]>, answer: QueryResult): void {
    this.checkedAnswers += 1;
    if (answer.type === 'streams') this.#checkLines(when, must, answer);
    else if (answer.type === 'vector') this.#checkCounts(when, must, answer);
    else this.broken.push(`${when}: an answer of type ${answer.type}`);
  }

  #checkLines(
    when: string,
    must: ReadonlyMap<string, readonly string[]>,
    { streams }: Extract<QueryResult, { type: 'streams' }>,
  ): void {
    const found = new Map<string, Set<string>>();
    for (const { labels, entries } of streams) {
      const app = appOf(labels);
      for (const { line } of entries) {
        if (found.get(app)?.has(line)) this.broken.push(`I3 ${when}: ${app} has ${line} twice`);
        if (!this.#sent.get(app)?.has(line)) this.broken.push(`I3 ${when}: ${app} has ${line}, which was never sent`);
        add(found, app, line);
      }
    }
    for (const [app, lines] of must) {
      const lost = lines.filter((line) => !found.get(app)?.has(line));
      if (lost.length > 0) this.broken.push(`I2 ${when}: ${app} lacks ${lost.join(', ')} of ${lines.length}`);
    }
  }

  #checkCounts(
    when: string,
    must: ReadonlyMap<string, readonly string[]>,
    { series }: Extract<QueryResult, { type: 'vector' }>,
  ): void {
    const counts = new Map(series.map(({ labels, values }) => [appOf(labels), values[0] ?? 0]));
    for (const app of new Set([...this.#sent.keys(), ...counts.keys()])) {
      const least = must.get(app)?.length ?? 0;
      const most = this.#sent.get(app)?.size ?? 0;
      const count = counts.get(app) ?? 0;
      if (count < least) this.broken.push(`I2 ${when}: ${app} counts ${count}, at least ${least} were acknowledged`);
      if (count > most) this.broken.push(`I3 ${when}: ${app} counts ${count}, only ${most} were sent`);
    }
  }
}

const add = (map: Map<string, Set<string>>, app: string, line: string): void => {
  const lines = map.get(app) ?? new Set();
  lines.add(line);
  map.set(app, lines);
};

const appOf = (labels: readonly string[]): string => labels[labels.indexOf('app') + 1] ?? '';
