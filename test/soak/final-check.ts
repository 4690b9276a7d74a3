/** Asks for everything that was ever sent, by log queries and by counts. Nothing may change meanwhile. */
import type { Finding, Oracle } from './oracle.ts';
import type { NoAnswer, Questions } from './questions.ts';
import type { ServedNode } from './served-node.ts';
import type { SoakStream } from './soak-entries.ts';

export interface FinalFigures {
  /** Entries returned by log queries over all time. */
  readonly returned: number;
}

export interface FinalCheckDeps {
  readonly oracle: Oracle;
  readonly questions: Questions;
  readonly groups: readonly (readonly SoakStream[])[];
  readonly found: (finding: Finding) => void;
}

const WINDOW_NS = 60_000_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

export class FinalCheck {
  readonly #deps: FinalCheckDeps;

  constructor(deps: FinalCheckDeps) {
    this.#deps = deps;
  }

  async run(node: ServedNode): Promise<FinalFigures> {
    const { questions, groups } = this.#deps;
    const before = questions.returned;
    for (const group of groups) {
      for (const stream of group) await this.#askEntries(node, stream);
      await this.#askCounts(node, group);
    }
    return { returned: questions.returned - before };
  }

  async #askEntries(node: ServedNode, stream: SoakStream): Promise<void> {
    const span = this.#deps.oracle.span(stream);
    if (!span) return;
    for (let startNs = span.startNs; startNs <= span.endNs; startNs += WINDOW_NS) {
      const range = { startNs, endNs: startNs + WINDOW_NS - 1n };
      this.#take(await this.#deps.questions.entries(node, stream, range, 'forward'));
    }
  }

  async #askCounts(node: ServedNode, group: readonly SoakStream[]): Promise<void> {
    const spans = group.flatMap((stream) => this.#deps.oracle.span(stream) ?? []);
    if (spans.length === 0) return;
    const endNs = spans.reduce((newest, span) => (span.endNs > newest ? span.endNs : newest), 0n);
    const startNs = spans.reduce((oldest, span) => (span.startNs < oldest ? span.startNs : oldest), endNs);
    const seconds = Number((endNs - startNs) / NS_PER_SECOND) + 1;
    this.#take(await this.#deps.questions.counts(node, group, endNs, seconds, 'count_over_time'));
    this.#take(await this.#deps.questions.counts(node, group, endNs, seconds, 'rate'));
  }

  #take(answer: readonly Finding[] | NoAnswer): void {
    const { found } = this.#deps;
    if ('status' in answer) {
      found({ kind: 'broken', text: `no answer in the end: ${answer.status} ${answer.text}`, entries: 1 });
    } else for (const finding of answer) found(finding);
  }
}
