import { prepareCodec } from '../../chunk/block-codec.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import { compilePipeline } from '../../logql/compile-pipeline.ts';
import { RefusedError } from '../../protocol/refusal.ts';
import type { Handled } from '../../workers/worker-main.ts';
import { CompiledHidden, compileMatchers } from './hidden-entries.ts';
import type { LogResult, MetricResult, ScanPlan, ScanTask } from './scan-messages.ts';
import { type CompiledScan, runLogTask, runMetricTask } from './scan-tasks.ts';
import { UnwrappedValue } from './unwrapped-value.ts';

/** Plans kept compiled: those of the queries that run at the same time. */
const COMPILED_MAX = 32;

/** Runs scan tasks, one at a time: the inside of a scan worker. */
export class ScanRunner {
  readonly #compiled = new Map<string, CompiledScan>();
  /** Chunks written with zstd may come at any time; starting it takes 14 ms once. */
  readonly #codecs = prepareCodec('zstd');

  /** @throws RefusedError */
  async run(task: ScanTask): Promise<Handled> {
    await this.#codecs;
    try {
      const compiled = this.#compile(task.plan);
      const result = task.kind === 'metric' ? runMetricTask(task, compiled) : runLogTask(task, compiled);
      return { result, transfer: result.kind === 'metric' ? countBuffersOf(result) : buffersOf(result) };
    } catch (cause) {
      if (!(cause instanceof CorruptChunkError)) throw cause;
      throw new RefusedError({ code: 'INTERNAL', text: `a block cannot be read: ${cause.message}` }, { cause });
    }
  }

  #compile(plan: ScanPlan): CompiledScan {
    const known = this.#compiled.get(plan.scanId);
    if (known) return known;
    const compiled = compileScan(plan);
    this.#compiled.set(plan.scanId, compiled);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > COMPILED_MAX && oldest !== undefined) this.#compiled.delete(oldest);
    return compiled;
  }
}

/** @throws RefusedError INVALID_QUERY with Loki's text for a stage that cannot be built */
export const compileScan = ({ matchers, stages, hints, scan, hidden }: ScanPlan): CompiledScan => ({
  pipeline: compilePipeline(stages, { hints }),
  unwrap: scan.kind === 'metric' && scan.unwrap ? new UnwrappedValue(scan.unwrap) : undefined,
  matches: compileMatchers(matchers),
  hidden: hidden && new CompiledHidden(hidden),
});

const countBuffersOf = ({ series }: MetricResult): ArrayBuffer[] =>
  series ? [series.counts, ...(series.sums ? [series.sums] : [])].map(({ buffer }) => buffer as ArrayBuffer) : [];

/** What is moved back: the answer's columns and the chunks, each buffer once. */
const buffersOf = ({ times, lineEnds, bytes, labelIndexes, ends }: LogResult): ArrayBuffer[] => [
  ...new Set(
    [times, lineEnds, bytes, labelIndexes, ...ends.flatMap(({ chunks }) => chunks.map((chunk) => chunk.bytes))].map(
      (column) => column.buffer as ArrayBuffer,
    ),
  ),
];
