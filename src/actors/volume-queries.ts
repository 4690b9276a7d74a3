import { decodeChunk } from '../chunk/chunk-object.ts';
import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import { segmentName } from '../chunk/memory-format.ts';
import type { Clock } from '../protocol/clock.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { canonicalText, labelSetOf } from '../protocol/label-text.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import type { StoredSource } from '../query/query-source.ts';
import { unreadableChunk } from '../query/scan/unreadable-chunk.ts';
import { boundsOfRef } from '../query/slice-plan.ts';
import type { HeldSegmentVolume, HeldVolume, StreamVolume, VolumePart } from '../query/stream-volume.ts';
import { BoundedMap } from '../storage/bounded-map.ts';
import { streamName } from '../storage/chunk-key.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import type { IndexStore } from '../storage/index-store.ts';
import { Slices } from './cooperative.ts';
import { passesAll } from './label-index.ts';
import { compileMatchers } from './memory-source.ts';

export interface VolumeQueryDeps {
  readonly clock: Clock;
  readonly memory: {
    volumes(tenant: string, matchers: readonly LabelMatcher[], range: TimeRangeNs): Promise<readonly HeldVolume[]>;
  };
  readonly stored: StoredSource;
  readonly index: Pick<IndexStore, 'committed'>;
}

/** What a chunk's own head and end say of it. */
interface ChunkVolume {
  readonly labels: LabelSet;
  readonly entries: number;
  readonly bytes: number;
}

/** Chosen: chunks of some days of a busy store; about 200 bytes each, and each saves a fetch. */
const KNOWN_CHUNKS_MAX = 50_000;
const KNOWN_LABELS_MAX = 20_000;
/** Objects fetched at a time: at most so many are in memory. */
const FETCHES = 8;
const SLICE_MS = 4;

/**
 * How much streams hold, by the store and by what is not stored yet, each entry once: a segment that was stored while this asked counts as
 * its chunk. Loki's rows say nothing of sizes, so a chunk's object is fetched the first time; chunks never change, so what it said is kept.
 */
export class VolumeQueries {
  readonly #deps: VolumeQueryDeps;
  readonly #chunks = new BoundedMap<string, ChunkVolume>(KNOWN_CHUNKS_MAX);
  readonly #labels = new BoundedMap<string, LabelSet>(KNOWN_LABELS_MAX);

  constructor(deps: VolumeQueryDeps) {
    this.#deps = deps;
  }

  /** Streams that hold anything in the range, in any order. @throws RefusedError DEADLINE_EXCEEDED, CANCELLED, INTERNAL for a chunk that cannot be read */
  async volumes(
    tenant: string,
    matchers: readonly LabelMatcher[],
    range: TimeRangeNs,
    check: () => void,
  ): Promise<readonly StreamVolume[]> {
    const { memory, stored, clock } = this.#deps;
    // Memory first, as for entries: what is flushed in between is in both, and found out below.
    const held = await memory.volumes(tenant, matchers, range);
    const refs = await stored.index.chunkRefs(tenant, matchers, range);
    const streams = new Map<string, { readonly labels: LabelSet; readonly parts: VolumePart[] }>();
    const add = (labels: LabelSet, part: VolumePart): void => {
      const known = streams.get(labels.canonical);
      if (known) known.parts.push(part);
      else streams.set(labels.canonical, { labels, parts: [part] });
    };
    const tests = compileMatchers(matchers);
    const slices = new Slices(clock, SLICE_MS);
    await forEachConcurrent(refs, FETCHES, async (ref) => {
      check();
      const { labels, entries, bytes } = this.#chunks.get(ref.key) ?? (await this.#read(ref));
      if (passesAll(labels, tests)) add(labels, { ...boundsOfRef(ref), entries, bytes });
      if (slices.isOver()) await slices.turn();
    });
    for (const { labels, segments } of held) {
      check();
      const own = [...(refs.ofStream(labels.fingerprint) ?? [])];
      for (const segment of segments) {
        if (!(await this.#isStored(tenant, labels, segment, own))) add(labels, segment);
      }
      if (slices.isOver()) await slices.turn();
    }
    return [...streams.values()];
  }

  /** Is it in one of the chunks? Only those that reach over all of it can hold it. */
  async #isStored(
    tenant: string,
    labels: LabelSet,
    { id, startNs, endNs }: HeldSegmentVolume,
    refs: readonly ChunkRef[],
  ): Promise<boolean> {
    const around = refs.filter((ref) => {
      const bounds = boundsOfRef(ref);
      return bounds.startNs <= startNs && bounds.endNs >= endNs;
    });
    if (around.length === 0) return false;
    const stream = streamName(tenant, labels.fingerprint);
    const key = await this.#deps.index.committed({ stream, segment: segmentName(id) });
    return around.some((ref) => ref.key === key);
  }

  async #read(ref: ChunkRef): Promise<ChunkVolume> {
    const { key } = ref;
    const bytes = await this.#deps.stored.chunks.get(key);
    if (!bytes) throw unreadableChunk(key, 'the index names it and the store does not have it');
    const volume = this.#volumeOf(key, bytes);
    this.#chunks.set(key, volume);
    return volume;
  }

  /** @throws RefusedError INTERNAL */
  #volumeOf(key: string, bytes: Uint8Array): ChunkVolume {
    try {
      const { labels, blocks } = decodeChunk(bytes);
      return {
        labels: this.#labelSet(labels),
        entries: blocks.reduce((sum, { count }) => sum + count, 0),
        bytes: blocks.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0),
      };
    } catch (error) {
      if (error instanceof CorruptChunkError) throw unreadableChunk(key, error.message, error);
      throw error;
    }
  }

  /** One object for all chunks of a stream. */
  #labelSet(pairs: readonly string[]): LabelSet {
    const canonical = canonicalText(pairs);
    const known = this.#labels.get(canonical);
    if (known) return known;
    const labels = labelSetOf(pairs);
    this.#labels.set(canonical, labels);
    return labels;
  }
}
