import type { EntryRange } from '../protocol/entry-columns.ts';
import { type AppendPlan, planAppend } from './append-record.ts';

/**
 * Parts of a range that is too long for one record, each at most `sizeMax`, or one entry of at most `entrySizeMax`.
 * @returns undefined if an entry is larger than that
 */
export const splitRange = (
  whole: AppendPlan,
  sizeMax: number,
  entrySizeMax: number,
): readonly AppendPlan[] | undefined => {
  const parts: AppendPlan[] = [];
  const waiting = [whole];
  for (let plan = waiting.pop(); plan; plan = waiting.pop()) {
    const { first, end, columns } = plan.range;
    if (plan.length <= sizeMax || end - first === 1) {
      if (plan.length > entrySizeMax) return undefined;
      parts.push(plan);
      continue;
    }
    const middle = (first + end) >>> 1;
    const halves: readonly EntryRange[] = [
      { columns, first, end: middle },
      { columns, first: middle, end },
    ];
    // The earlier one is taken first.
    waiting.push(...halves.map(planAppend).reverse());
  }
  return parts;
};
