import type { MetricExpr } from '../logql/ast.ts';
import { validateStages } from '../logql/compile-pipeline.ts';
import { metricStages } from '../logql/hints.ts';
import { parseExpr } from '../logql/parser.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { Evaluator, leavesOf } from './evaluate.ts';
import { logEvents } from './log-query.ts';
import { matrixOf, sortsByValue, vectorOf } from './metric-answer.ts';
import { QueryContext, type QueryDeps } from './query-context.ts';
import type { MetricSeries, QueryEvent, QueryRequest, QueryStatistics } from './query-messages.ts';
import type { QuerySources } from './query-source.ts';
import { cutSeriesText } from './series-limit.ts';
import { constantSeries } from './step-series.ts';
import { gridOf, timesMsOf } from './step-windows.ts';
import { Turns } from './turns.ts';

/** Series in one event. */
const EVENT_SERIES_MAX = 500;
const NS_PER_MS = 1_000_000n;

/**
 * Evaluates a request. Events come in order, the last one is `done`; the next is only worked for once it is asked for. Leaving early or
 * the signal ends it: tasks that wait are dropped, those that run take milliseconds.
 * @throws RefusedError from the iterator, for everything that is refused
 */
export async function* queryEvents(
  request: QueryRequest,
  sources: QuerySources,
  deps: QueryDeps,
  signal: AbortSignal,
): AsyncGenerator<QueryEvent, void> {
  const context = new QueryContext(request, sources, deps, signal);
  try {
    context.check();
    if (request.limits.tasksMax === 0) throw queryingDisabled();
    const expr = parseExpr(request.query);
    if (expr.kind !== 'log') yield* metricEvents(context, expr);
    else if (request.isInstant) throw instantLogQuery();
    else yield* logEvents(context, expr);
    yield { type: 'done', statistics: context.statistics() };
  } finally {
    context.close();
  }
}

/** The same with a callback: `emit` is awaited before the work goes on. Its last event is `done`, whose statistics are also the result. */
export const executeQuery = async (
  request: QueryRequest,
  sources: QuerySources,
  deps: QueryDeps,
  signal: AbortSignal,
  emit: (event: QueryEvent) => Promise<void>,
): Promise<QueryStatistics> => {
  for await (const event of queryEvents(request, sources, deps, signal)) {
    await emit(event);
    if (event.type === 'done') return event.statistics;
  }
  throw new RefusedError({ code: 'INTERNAL', text: 'the query ended without an answer' });
};

async function* metricEvents(context: QueryContext, expr: MetricExpr): AsyncGenerator<QueryEvent> {
  const { startNs, endNs, stepNs, isInstant, limits } = context.request;
  // Every leaf is checked before one is read.
  for (const leaf of leavesOf(expr)) validateStages(metricStages(leaf.expr));
  const grid = gridOf(startNs, endNs, stepNs, isInstant);
  const turns = new Turns(context.deps.clock);
  const evaluated = await new Evaluator(context, grid, turns).evaluate(expr);
  const timeMs = Number(startNs / NS_PER_MS);
  if (evaluated.kind === 'scalar' && isInstant) {
    yield { type: 'scalar', timeMs, value: evaluated.value };
    return;
  }
  const series = evaluated.kind === 'series' ? evaluated.series : [constantSeries(evaluated.value, grid.count)];
  const { seriesMax, cutsSeries = false } = limits;
  const options = { turns, seriesMax: cutsSeries ? 0 : seriesMax };
  const whole = isInstant
    ? await vectorOf(series, timeMs, sortsByValue(expr), options)
    : await matrixOf(series, timesMsOf(grid), options);
  const isCut = cutsSeries && seriesMax > 0 && whole.length > seriesMax;
  if (isCut) context.lacks(cutSeriesText(seriesMax));
  const answer = isCut ? whole.slice(0, seriesMax) : whole;
  context.entriesReturned = answer.length;
  yield* seriesEvents(answer, isInstant ? 'vector' : 'matrix');
}

/** At least one event: it says what type the answer is. */
function* seriesEvents(series: readonly MetricSeries[], resultType: 'vector' | 'matrix'): Generator<QueryEvent> {
  for (let first = 0; first === 0 || first < series.length; first += EVENT_SERIES_MAX) {
    yield { type: 'series', resultType, series: series.slice(first, first + EVENT_SERIES_MAX) };
  }
}

/** Not before somebody changes the limit. */
const DISABLED_RETRY_MS = 60_000;

const queryingDisabled = (): RefusedError =>
  new RefusedError({
    code: 'OVERLOADED',
    text: 'querying is disabled, please contact your Loki operator',
    retryAfterMs: DISABLED_RETRY_MS,
  });

const instantLogQuery = (): RefusedError =>
  new RefusedError({
    code: 'INVALID_QUERY',
    text: 'log queries are not supported as an instant query type, please change your query to a range query type',
  });
