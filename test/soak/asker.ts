/** Asks without pause, about any part of what was sent. */
import type { Finding, Oracle, TimeRange } from './oracle.ts';
import type { NoAnswer, Questions } from './questions.ts';
import type { ServedNode } from './served-node.ts';
import type { SoakStream } from './soak-entries.ts';

export interface AskerDeps {
  readonly oracle: Oracle;
  readonly questions: Questions;
  /** By pusher. */
  readonly groups: readonly (readonly SoakStream[])[];
  readonly random: () => number;
  readonly node: () => ServedNode | undefined;
  readonly found: (finding: Finding) => void;
  readonly isOver: () => boolean;
  /** Without any answer: longer is wrong. */
  readonly budgetMs?: number;
}

const LONGEST_SECONDS = 20;
const RECENT_SHARE = 0.5;
const WHY_LENGTH = 120;
const PAUSE_MS = 30;
const NS_PER_SECOND = 1_000_000_000;

export class Asker {
  /** Questions without an answer, by status; 0 if the node was gone. */
  readonly unanswered = new Map<number, number>();
  /** The same with the beginnings of the texts. */
  readonly reasons = new Map<string, number>();
  /** Without any answer, at the longest. */
  longestGapMs = 0;
  readonly #deps: AskerDeps;

  constructor(deps: AskerDeps) {
    this.#deps = deps;
  }

  async run(): Promise<void> {
    const { random, node, isOver, found, budgetMs = Number.POSITIVE_INFINITY } = this.#deps;
    let answeredMs = performance.now();
    while (!isOver()) {
      const current = node();
      const answer = current && (await this.#ask(current));
      if (answer && 'status' in answer) {
        const why = `${answer.status} ${answer.text.slice(0, WHY_LENGTH)}`;
        this.reasons.set(why, (this.reasons.get(why) ?? 0) + 1);
        this.unanswered.set(answer.status, (this.unanswered.get(answer.status) ?? 0) + 1);
        if (answer.status === 500 || (answer.status >= 400 && answer.status < 429)) {
          found({
            kind: 'broken',
            text: `a query was answered ${answer.status} ${answer.text.slice(0, 300)}`,
            entries: 1,
          });
        }
      } else if (answer) {
        const gapMs = performance.now() - answeredMs;
        answeredMs = performance.now();
        this.longestGapMs = Math.max(this.longestGapMs, gapMs);
        if (gapMs > budgetMs) found({ kind: 'broken', text: `no answer for ${Math.round(gapMs)} ms`, entries: 1 });
        for (const finding of answer) found(finding);
      }
      await new Promise((resolve) => setTimeout(resolve, random() * PAUSE_MS));
    }
  }

  async #ask(node: ServedNode): Promise<readonly Finding[] | NoAnswer> {
    const { questions, groups, random } = this.#deps;
    const group = this.#pick(groups);
    const stream = this.#pick(group);
    const range = this.#range(stream);
    if (!range) return [];
    if (random() < 0.5) return await questions.entries(node, stream, range, random() < 0.5 ? 'forward' : 'backward');
    const seconds = 1 + Math.floor(random() * LONGEST_SECONDS);
    const answer = await questions.counts(
      node,
      group,
      range.endNs,
      seconds,
      random() < 0.5 ? 'count_over_time' : 'rate',
    );
    if ('status' in answer || answer.length === 0) return answer;
    // Which ones they are, if that is still to be seen.
    const lengthNs = BigInt(seconds * NS_PER_SECOND);
    const counted = { startNs: range.endNs - lengthNs + 1n, endNs: range.endNs };
    const entries = await Promise.all(group.map((one) => questions.entries(node, one, counted, 'forward')));
    return [...answer, ...entries.flatMap((found) => ('status' in found ? [] : found))];
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#deps.random() * from.length)] as T;
  }

  /** Up to some seconds of what was sent; every other time the latest. */
  #range(stream: SoakStream): TimeRange | undefined {
    const { oracle, random } = this.#deps;
    const span = oracle.span(stream);
    if (!span) return undefined;
    const length = BigInt(Math.floor(random() * LONGEST_SECONDS * NS_PER_SECOND));
    if (random() < RECENT_SHARE) return { startNs: span.endNs - length, endNs: span.endNs };
    const startNs = span.startNs + BigInt(Math.floor(random() * Number(span.endNs - span.startNs)));
    return { startNs, endNs: startNs + length };
  }
}
