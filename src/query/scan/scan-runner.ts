import { prepareCodec } from '../../chunk/block-codec.ts';
import { CorruptChunkError } from '../../chunk/corrupt-chunk-error.ts';
import { RefusedError } from '../../protocol/refusal.ts';
import { releaseMemory } from '../../protocol/release-memory.ts';
import type { Handled } from '../../workers/worker-main.ts';
import { CompiledScans } from './compiled-scan.ts';
import {
  isChunkBytes,
  type LogResult,
  type LogTask,
  type MetricResult,
  type MetricTask,
  type ScanTask,
} from './scan-messages.ts';
import { runLogTask, runMetricTask } from './scan-tasks.ts';

/** Runs scan tasks, one at a time: the inside of a scan worker. */
export class ScanRunner {
  readonly #compiled = new CompiledScans();
  /** Chunks written with zstd may come at any time; starting it takes 14 ms once. */
  readonly #codecs = prepareCodec('zstd');

  /** @throws RefusedError */
  async run(task: ScanTask): Promise<Handled> {
    await this.#codecs;
    try {
      return task.kind === 'metric' ? this.#runMetric(task) : this.#runLog(task);
    } catch (cause) {
      if (!(cause instanceof CorruptChunkError)) throw cause;
      throw new RefusedError({ code: 'INTERNAL', text: `a block cannot be read: ${cause.message}` }, { cause });
    }
  }

  #runMetric(task: MetricTask): Handled {
    const compiled = task.plans.map((plan) => this.#compiled.of(plan));
    const result = runMetricTask(task, compiled);
    releaseChunks(task);
    return { result, transfer: countBuffersOf(result) };
  }

  #runLog(task: LogTask): Handled {
    const result = runLogTask(task, this.#compiled.of(task.plan));
    return { result, transfer: buffersOf(result) };
  }
}

/** Chunks came with the task, and nobody wants them any more. */
const releaseChunks = ({ slices }: MetricTask): void => {
  for (const { chunks } of slices) for (const chunk of chunks) if (isChunkBytes(chunk)) releaseMemory(chunk.bytes);
};

const countBuffersOf = ({ parts }: MetricResult): ArrayBuffer[] =>
  parts.flatMap(({ series, values }) => {
    const counted = series ? [series.counts, ...(series.sums ? [series.sums] : [])] : [];
    const collected = values ? [values.series, values.times, values.values] : [];
    return [...counted, ...collected].map(({ buffer }) => buffer as ArrayBuffer);
  });

/** What is moved back: the answer's columns and the chunks, each buffer once. */
const buffersOf = ({ times, lineEnds, bytes, labelIndexes, ends }: LogResult): ArrayBuffer[] => [
  ...new Set(
    [times, lineEnds, bytes, labelIndexes, ...ends.flatMap(({ chunks }) => chunks.map((chunk) => chunk.bytes))].map(
      (column) => column.buffer as ArrayBuffer,
    ),
  ),
];
