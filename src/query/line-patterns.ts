import { DETECTED_LEVEL } from '../protocol/levels.ts';
import { Drain, type LinePattern, patternText } from './drain.ts';
import type { LogEntry } from './query-messages.ts';

/** Lines of one pattern and level, counted in steps. */
export interface PatternSeries {
  readonly pattern: string;
  readonly level: string;
  /** Start of the step in seconds, ascending, and lines in it. */
  readonly samples: readonly (readonly [seconds: number, lines: number])[];
}

const NS_PER_SECOND = 1_000_000_000n;
const UNKNOWN = 'unknown';

/** Patterns of lines, with a tree for each level. */
export class LinePatterns {
  readonly #stepNs: bigint;
  readonly #levels = new Map<
    string,
    { readonly drain: Drain; readonly counts: Map<LinePattern, Map<number, number>> }
  >();

  /** @param stepNs whole seconds, at least one */
  constructor(stepNs: bigint) {
    const seconds = stepNs / NS_PER_SECOND;
    this.#stepNs = (seconds > 0n ? seconds : 1n) * NS_PER_SECOND;
  }

  add({ line, timeNs, metadata = [] }: LogEntry): void {
    const at = metadata.indexOf(DETECTED_LEVEL);
    const level = at % 2 === 0 ? (metadata[at + 1] ?? UNKNOWN) : UNKNOWN;
    const known = this.#levels.get(level) ?? { drain: new Drain(), counts: new Map() };
    this.#levels.set(level, known);
    const pattern = known.drain.add(line);
    if (!pattern) return;
    const counts = known.counts.get(pattern) ?? new Map<number, number>();
    known.counts.set(pattern, counts);
    const seconds = Number((timeNs - (timeNs % this.#stepNs)) / NS_PER_SECOND);
    counts.set(seconds, (counts.get(seconds) ?? 0) + 1);
  }

  /** Most lines first. */
  list(): readonly PatternSeries[] {
    const all = [...this.#levels].flatMap(([level, { counts }]) =>
      [...counts].map(([pattern, bySecond]) => {
        const samples = [...bySecond].sort(([a], [b]) => a - b);
        const lines = samples.reduce((sum, [, count]) => sum + count, 0);
        return { lines, series: { pattern: patternText(pattern), level, samples } };
      }),
    );
    return all.sort((a, b) => b.lines - a.lines).map(({ series }) => series);
  }
}
