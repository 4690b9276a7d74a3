import type { MetricExpr, VectorAggregation } from '../../../src/logql/ast.ts';
import { labelHints, metricStages } from '../../../src/logql/hints.ts';
import { parseExpr } from '../../../src/logql/parser.ts';
import { leavesOf } from '../../../src/query/evaluate.ts';
import { entryRangeOf } from '../../../src/query/metric-leaf.ts';
import type { ScanPlan } from '../../../src/query/scan/scan-messages.ts';
import { gridOf } from '../../../src/query/step-windows.ts';

/** Where the benches' entries begin. */
export const START_NS = 1_700_000_000_000_000_000n;

const HOUR_NS = 3_600_000_000_000n;

/** A metric query over so many hours from START_NS: a step a minute, and the last one at their end. */
export const metricPlanOf = (query: string, hours: number): ScanPlan => {
  const expr = parseExpr(query) as MetricExpr;
  const [leaf] = leavesOf(expr);
  if (!leaf) throw new Error('no range aggregation');
  const outer = expr.kind === 'vectorAggregation' ? (expr as VectorAggregation) : undefined;
  const { rangeNs, offsetNs, log } = leaf.expr.range;
  const endNs = START_NS + BigInt(hours) * HOUR_NS;
  const grid = gridOf(rangeNs < HOUR_NS ? START_NS : endNs, endNs, 60_000_000_000n, false);
  return {
    scanId: query,
    tenant: 't',
    namesTenant: false,
    matchers: log.matchers,
    stages: metricStages(leaf.expr),
    hints: labelHints(leaf.expr, outer),
    ...entryRangeOf(grid, rangeNs, offsetNs),
    scan: {
      kind: 'metric',
      grid,
      rangeNs,
      offsetNs,
      measure: query.includes('bytes') ? 'bytes' : 'count',
      unwrap: undefined,
      group: leaf.group,
      seriesMax: 0,
    },
  };
};
