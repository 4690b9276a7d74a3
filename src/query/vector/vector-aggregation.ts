import type { VectorAggregation } from '../../logql/ast.ts';
import { compareLabels } from '../label-order.ts';
import { groupedLabels } from '../scan/entry-series.ts';
import { groupOf } from '../scan/group-spec.ts';
import { sortInTurns } from '../sort-in-turns.ts';
import type { StepSeries } from '../step-series.ts';
import { SERIES_PER_LOOK, type Turns } from '../turns.ts';
import { groupSeries, reduceGroup } from './reduce-groups.ts';
import { sortByValue } from './sort-series.ts';
import { STEP_REDUCERS } from './step-reducers.ts';
import { topOfGroup } from './top-k.ts';

/** `sum by (…) (inner)` and its kin over evaluated series. */
export const aggregateSeries = async (
  { op, parameter, grouping }: VectorAggregation,
  series: readonly StepSeries[],
  stepCount: number,
  turns: Turns,
): Promise<StepSeries[]> => {
  const group = grouping ? groupOf(grouping) : NO_LABELS;
  switch (op) {
    case 'sort':
      return await sortByValue(series, false, turns);
    case 'sort_desc':
      return await sortByValue(series, true, turns);
    case 'topk':
    case 'bottomk':
    case 'approx_topk': {
      const sorted = await sortInTurns(series, (a, b) => compareLabels(a.labels, b.labels), turns);
      const results: StepSeries[] = [];
      for (const one of await groupSeries(sorted, (labels) => groupedLabels(labels, group), turns)) {
        for (const top of await topOfGroup(one, stepCount, parameter ?? 1, op === 'bottomk', turns)) results.push(top);
      }
      return results;
    }
    default: {
      const results: StepSeries[] = [];
      for (const one of await groupSeries(series, (labels) => groupedLabels(labels, group), turns)) {
        results.push(await reduceGroup(one, stepCount, STEP_REDUCERS[op], turns));
        if (results.length % SERIES_PER_LOOK === 0) await turns.breathe();
      }
      return results;
    }
  }
};

const NO_LABELS = { kind: 'by', names: [] } as const;
