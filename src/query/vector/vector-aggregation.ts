import type { VectorAggregation } from '../../logql/ast.ts';
import { compareLabels } from '../label-order.ts';
import { groupedLabels } from '../scan/entry-series.ts';
import { groupOf } from '../scan/group-spec.ts';
import type { StepSeries } from '../step-series.ts';
import { groupSeries, reduceGroup } from './reduce-groups.ts';
import { sortByValue } from './sort-series.ts';
import { STEP_REDUCERS } from './step-reducers.ts';
import { topOfGroup } from './top-k.ts';

/** `sum by (…) (inner)` and its kin over evaluated series. */
export const aggregateSeries = (
  { op, parameter, grouping }: VectorAggregation,
  series: readonly StepSeries[],
  stepCount: number,
): StepSeries[] => {
  const group = grouping ? groupOf(grouping) : NO_LABELS;
  switch (op) {
    case 'sort':
      return sortByValue(series, false);
    case 'sort_desc':
      return sortByValue(series, true);
    case 'topk':
    case 'bottomk':
    case 'approx_topk': {
      const sorted = [...series].sort((a, b) => compareLabels(a.labels, b.labels));
      const groups = groupSeries(sorted, (labels) => groupedLabels(labels, group));
      return groups.flatMap((one) => topOfGroup(one, stepCount, parameter ?? 1, op === 'bottomk'));
    }
    default:
      return groupSeries(series, (labels) => groupedLabels(labels, group)).map((one) =>
        reduceGroup(one, stepCount, STEP_REDUCERS[op]),
      );
  }
};

const NO_LABELS = { kind: 'by', names: [] } as const;
