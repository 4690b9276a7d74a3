import { isLogged, type SegmentSnapshot, type UnflushedSegment } from '../chunk/memory-format.ts';
import type { IncomingCall } from '../cluster/transport/peers.ts';
import { Permits } from '../protocol/permits.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type ChunkWant, fileForPart, readChunk } from '../query/fetch-chunk.ts';
import type { ScanPool } from '../query/query-context.ts';
import { CompiledScans, wantedByAny } from '../query/scan/compiled-scan.ts';
import {
  buffersOf,
  type ChunkSource,
  type ReadBounds,
  type ScanPlan,
  type ScanResult,
  type ScanTask,
  type StreamSlice,
} from '../query/scan/scan-messages.ts';
import { parseChunkKey } from '../storage/chunk-key.ts';
import type { ChunkReader } from '../storage/chunk-store.ts';
import { decodeTask, encodePlacedResult, type PlacedMemory, type PlacedSlice } from './scan-message.ts';

export interface ScanServerDeps {
  readonly pool: ScanPool;
  readonly chunks: ChunkReader;
  /** A segment of a selection that the asker has here. */
  readonly selected: (from: IncomingCall['from'], selection: number, place: number) => UnflushedSegment | undefined;
}

/** Tasks of other members for each worker: one running, one that is brought here meanwhile. Each holds its chunks in memory. */
const TASKS_PER_WORKER = 2;
/** Tasks that wait for their turn, for each worker; past that the asker does it itself: those of the tenant with most of them. */
const WAITING_PER_WORKER = 8;

/** Chosen: serialized in some ms, and a fraction of what a link takes as one message. What is more the asker finds out itself. */
const ANSWER_BYTES_MAX = 8 << 20;

/** Of a key that is none of ours. */
const NO_BOUNDS = { fromMs: 0, throughMs: 0 };

/** Runs tasks of other members' queries in this node's workers, over chunks that it reads itself; tenants take turns. */
export class ScanServer {
  readonly #deps: ScanServerDeps;
  readonly #permits: Permits;
  readonly #compiled = new CompiledScans();

  constructor(deps: ScanServerDeps) {
    this.#deps = deps;
    this.#permits = new Permits(TASKS_PER_WORKER * deps.pool.size, {
      waitingMax: WAITING_PER_WORKER * deps.pool.size,
      text: 'too many scans of other nodes wait here',
    });
  }

  /** SCAN. @throws RefusedError OVERLOADED when too many wait */
  async run(body: Uint8Array, call: IncomingCall): Promise<readonly Uint8Array[]> {
    const decoded = decodeTask(body);
    const [{ tenant }] = decoded.task.plans as readonly [ScanPlan];
    return await this.#permits.with(call.signal, () => this.#run(decoded, call), tenant);
  }

  async #run({ task, snapshots }: ReturnType<typeof decodeTask>, call: IncomingCall): Promise<readonly Uint8Array[]> {
    const { nodeId, incarnation } = call.from;
    const plans: readonly ScanPlan[] = task.plans.map((plan) => ({
      ...plan,
      scanId: `${nodeId}/${incarnation}/${plan.scanId}`,
    }));
    const [{ startNs, endNs }] = plans as readonly [ScanPlan];
    const { mayPass } = wantedByAny(plans.map((plan) => this.#compiled.of(plan)));
    const want = { range: { startNs, endNs }, mayPass };
    const chunks = new Map<string, Promise<ChunkSource>>();
    const fetchOnce = (ref: PlacedSlice['chunks'][number]): Promise<ChunkSource> => {
      const known = chunks.get(ref.key) ?? this.#fetch(ref, want);
      chunks.set(ref.key, known);
      return known;
    };
    const slices = await Promise.all(task.slices.map((slice) => this.#sliceOf(slice, snapshots, fetchOnce, call)));
    const buffers = buffersOf(await Promise.all(chunks.values()));
    const result = await this.#deps.pool.run(taskOf(plans, slices, task.bounds), buffers, call.signal);
    if (bytesOfResult(result) > ANSWER_BYTES_MAX) throw tooLarge();
    return [encodePlacedResult(withoutChunks(result), chunks.size)];
  }

  async #fetch(ref: PlacedSlice['chunks'][number], want: ChunkWant): Promise<ChunkSource> {
    const { chunks } = this.#deps;
    const wanted = { ...NO_BOUNDS, ...parseChunkKey(ref.key), ...ref };
    return fileForPart(chunks, wanted, want) ?? (await readChunk(chunks, wanted, want));
  }

  async #sliceOf(
    { startNs, endNs, chunks: refs, memory }: PlacedSlice,
    snapshots: readonly SegmentSnapshot[],
    fetch: (ref: PlacedSlice['chunks'][number]) => Promise<ChunkSource>,
    call: IncomingCall,
  ): Promise<StreamSlice> {
    return {
      startNs,
      endNs,
      memory: await Promise.all(memory.map((part) => this.#memoryOf(part, snapshots, call))),
      chunks: await Promise.all(refs.map(fetch)),
    };
  }

  async #memoryOf(
    { labels, segments }: PlacedMemory,
    snapshots: readonly SegmentSnapshot[],
    { from }: IncomingCall,
  ): Promise<StreamSlice['memory'][number]> {
    const loaded = segments.map(async (segment) => {
      const found =
        'snapshot' in segment
          ? snapshots[segment.snapshot]
          : this.#deps.selected(from, segment.selection, segment.place);
      if (!found) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'the selection is over' });
      return isLogged(found) ? await found.load() : found;
    });
    return { labels, segments: await Promise.all(loaded) };
  }
}

const taskOf = (
  plans: readonly ScanPlan[],
  slices: readonly StreamSlice[],
  bounds: readonly ReadBounds[] | undefined,
): ScanTask => {
  if (!bounds) return { kind: 'metric', plans, slices };
  const [plan] = plans as readonly [ScanPlan];
  return { kind: 'log', plan, reads: slices.map((slice, index) => ({ slice, ...(bounds[index] as ReadBounds) })) };
};

/** About what it takes on the way. */
const bytesOfResult = (result: ScanResult): number => {
  if (result.kind === 'log') return result.bytes.byteLength + result.times.byteLength + result.lineEnds.byteLength;
  let bytes = 0;
  for (const { series, values } of result.parts) {
    if (series) bytes += series.keys.length + series.counts.byteLength + (series.sums?.byteLength ?? 0);
    if (values)
      bytes += values.keys.length + values.times.byteLength + values.values.byteLength + values.series.byteLength;
  }
  return bytes;
};

const tooLarge = (): RefusedError =>
  new RefusedError({ code: 'OVERLOADED', text: 'what came of a scan is too much to send', retryAfterMs: 0 });

/** Who reads on here has them fetched again. */
const withoutChunks = (result: ScanResult): ScanResult =>
  result.kind === 'metric' ? result : { ...result, ends: result.ends.map((end) => ({ ...end, chunks: [] })) };
