import type { BinaryExpr } from '../../logql/ast.ts';
import { RefusedError } from '../../protocol/refusal.ts';
import { keyOfLabels, newSeries, type StepSeries } from '../step-series.ts';
import { CELLS_PER_LOOK, SERIES_PER_LOOK, type Turns } from '../turns.ts';
import type { CombineOptions } from './combine-options.ts';
import { type BinaryNumbers, isComparison, operate } from './operate.ts';
import { MatchKeys, resultLabels } from './vector-matching.ts';

/** Arithmetic and comparisons between two vectors, sample by matched sample. @throws RefusedError INTERNAL for ambiguous matches */
export const combineVectors = async (
  expr: BinaryExpr & { readonly op: BinaryNumbers },
  left: readonly StepSeries[],
  right: readonly StepSeries[],
  { stepCount, turns }: CombineOptions,
): Promise<StepSeries[]> => {
  const { matching } = expr;
  const isSwapped = matching?.group === 'right';
  const [many, one] = isSwapped ? [right, left] : [left, right];
  const keys = new MatchKeys(matching);
  const manyKeys = await keys.of(many, turns);
  const oneKeys = await keys.of(one, turns);
  const join = new Join(expr, many, manyKeys, one, oneKeys, stepCount, keys.count);
  for (let step = 0; step < stepCount; step += 1) await join.step(step, turns);
  return join.results();
};

const NONE = -1;

class Join {
  readonly #expr: BinaryExpr & { readonly op: BinaryNumbers };
  readonly #many: readonly StepSeries[];
  readonly #manyKeys: Uint32Array;
  readonly #one: readonly StepSeries[];
  readonly #oneKeys: Uint32Array;
  readonly #stepCount: number;
  readonly #results = new Map<string, StepSeries>();
  /** Result of a pair of series: `many × one` → series. */
  readonly #pairs = new Map<number, StepSeries>();
  /** Per key, the series on the one side at this step. */
  readonly #partner: Int32Array;
  readonly #used: Uint8Array;

  constructor(
    expr: BinaryExpr & { readonly op: BinaryNumbers },
    many: readonly StepSeries[],
    manyKeys: Uint32Array,
    one: readonly StepSeries[],
    oneKeys: Uint32Array,
    stepCount: number,
    keyCount: number,
  ) {
    this.#expr = expr;
    this.#many = many;
    this.#manyKeys = manyKeys;
    this.#one = one;
    this.#oneKeys = oneKeys;
    this.#stepCount = stepCount;
    this.#partner = new Int32Array(keyCount);
    this.#used = new Uint8Array(keyCount);
  }

  results(): StepSeries[] {
    return [...this.#results.values()].filter(({ present }) => present.includes(1));
  }

  async step(step: number, turns: Turns): Promise<void> {
    await this.#findPartners(step, turns);
    const inserted = new Set<StepSeries>();
    for (let index = 0; index < this.#many.length; index += 1) {
      if (index % SERIES_PER_LOOK === 0) await turns.breathe();
      if (this.#many[index]!.present[step] !== 1) continue;
      const key = this.#manyKeys[index]!;
      const partner = this.#partner[key]!;
      if (partner === NONE) continue;
      const result = this.#resultOf(index, partner);
      this.#checkUnique(key, result, inserted);
      const value = this.#valueAt(step, index, partner);
      if (value === undefined) continue;
      result.present[step] = 1;
      result.values[step] = value;
    }
  }

  async #findPartners(step: number, turns: Turns): Promise<void> {
    this.#partner.fill(NONE);
    this.#used.fill(0);
    for (let index = 0; index < this.#one.length; index += 1) {
      if (index % CELLS_PER_LOOK === 0) await turns.breathe();
      if (this.#one[index]!.present[step] !== 1) continue;
      const key = this.#oneKeys[index]!;
      if (this.#partner[key] !== NONE) {
        const side = this.#expr.matching?.group === 'right' ? 'left' : 'right';
        throw ambiguous(
          `found duplicate series on the ${side} hand-side;many-to-many matching not allowed: ` +
            'matching labels must be unique on one side',
        );
      }
      this.#partner[key] = index;
    }
  }

  #checkUnique(key: number, result: StepSeries, inserted: Set<StepSeries>): void {
    if ((this.#expr.matching?.group ?? 'none') === 'none') {
      if (this.#used[key] === 1) {
        throw ambiguous('multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)');
      }
      this.#used[key] = 1;
      return;
    }
    if (inserted.has(result))
      throw ambiguous('multiple matches for labels: grouping labels must ensure unique matches');
    inserted.add(result);
  }

  /** undefined: a comparison that fails drops the sample. The written left operand's value stays, whichever side is the many one. */
  #valueAt(step: number, many: number, one: number): number | undefined {
    const isSwapped = this.#expr.matching?.group === 'right';
    const a = this.#many[many]!.values[step]!;
    const b = this.#one[one]!.values[step]!;
    const [left, right] = isSwapped ? [b, a] : [a, b];
    const value = operate(this.#expr.op, left, right);
    if (!isComparison(this.#expr.op) || this.#expr.returnBool) return value;
    return value === 1 ? left : undefined;
  }

  #resultOf(many: number, one: number): StepSeries {
    const pair = many * this.#one.length + one;
    const known = this.#pairs.get(pair);
    if (known) return known;
    const labels = resultLabels(this.#many[many]!.labels, this.#one[one]!.labels, this.#expr.matching);
    const key = keyOfLabels(labels);
    const result = this.#results.get(key) ?? newSeries(labels, this.#stepCount);
    this.#results.set(key, result);
    this.#pairs.set(pair, result);
    return result;
  }
}

const ambiguous = (text: string): RefusedError => new RefusedError({ code: 'INTERNAL', text });
