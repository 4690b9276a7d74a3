import type { StreamMemory } from '../actors/memory-source.ts';
import { isLogged, type LoggedSegment, type SegmentSnapshot, type UnflushedSegment } from '../chunk/memory-format.ts';
import { encodeSnapshots, snapshotSize } from '../chunk/snapshot-codec.ts';
import type { IncomingCall } from '../cluster/transport/peers.ts';
import { ABORTED } from '../protocol/aborted.ts';
import { bytesOfText } from '../protocol/byte-text.ts';
import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { MemoryStream } from '../query/query-source.ts';
import {
  type DeferredSegment,
  decodeLoadRequest,
  decodeSelectRequest,
  encodeLabelSets,
  encodeSelection,
  type SelectedStream,
} from './selection-message.ts';
import { encodeVolumes } from './volumes-message.ts';

export interface MemoryServerDeps {
  readonly clock: Clock;
  readonly memory: StreamMemory;
  /** Catches up with the asker's view and gives this node's: an answer is of no older one. @throws RefusedError */
  readonly viewSince: (changedAt: number) => Promise<number>;
}

/** A segment up to this is sent with the selection: a question of its own would cost more. */
const INLINE_BYTES_MAX = 64 << 10;
/** All that is sent without being asked for. */
const INLINE_BYTES_TOTAL = 8 << 20;
/** Of one message. */
const MESSAGE_BYTES_MAX = 1 << 20;
const MESSAGE_STREAMS_MAX = 2_000;
/** A selection pins memory and log; an asker that has forgotten it must not pin them for ever. Chosen: no query takes so long. */
const SELECTION_MS = 10 * 60_000;

/**
 * Answers other members' queries for what this node holds unflushed. A selection lives for as long as its call: the asker reads what there is,
 * loads what it needs of the rest, and ends the call. One that lasts too long is ended here.
 */
export class MemoryServer {
  readonly #deps: MemoryServerDeps;
  readonly #selections = new Map<string, readonly UnflushedSegment[]>();

  constructor(deps: MemoryServerDeps) {
    this.#deps = deps;
  }

  /** SELECT. */
  async *select(body: Uint8Array, { from, signal }: IncomingCall): AsyncGenerator<readonly Uint8Array[]> {
    const { memory, viewSince, clock } = this.#deps;
    const { changedAt: theirs, tenant, matchers, range, selection } = decodeSelectRequest(body);
    const changedAt = await viewSince(theirs);
    const deferred: UnflushedSegment[] = [];
    const name = selectionName(from.nodeId, from.incarnation, selection);
    this.#selections.set(name, deferred);
    const tooLong = new AbortController();
    const cancelEnd = clock.after(SELECTION_MS, () => {
      this.#selections.delete(name);
      deferred.length = 0;
      tooLong.abort(ABORTED);
    });
    try {
      const streams = await memory.select(tenant, matchers, range);
      for (const { part, isLast } of partsOf(streams, deferred)) {
        yield encodeSelection({ changedAt, streams: part, isLast });
      }
      if (deferred.length > 0) await aborted(AbortSignal.any([signal, tooLong.signal]));
    } finally {
      cancelEnd();
      this.#selections.delete(name);
    }
  }

  /** LOAD: a segment of a selection whose call goes on. */
  async load(body: Uint8Array, { from }: IncomingCall): Promise<readonly Uint8Array[]> {
    const { selection, place } = decodeLoadRequest(body);
    const segment = this.selected(from, selection, place);
    if (!segment) throw new RefusedError({ code: 'INTERNAL', text: 'the selection is over' });
    return [encodeSnapshots([isLogged(segment) ? await segment.load() : segment])];
  }

  /** What others have selected here and are not done with. */
  get selections(): number {
    return this.#selections.size;
  }

  /** A segment of a selection whose call goes on. */
  selected(
    { nodeId, incarnation }: IncomingCall['from'],
    selection: number,
    place: number,
  ): UnflushedSegment | undefined {
    return this.#selections.get(selectionName(nodeId, incarnation, selection))?.[place];
  }

  /** LABEL_SETS. */
  async *labelSets(body: Uint8Array): AsyncGenerator<readonly Uint8Array[]> {
    const { memory, viewSince } = this.#deps;
    const { changedAt: theirs, tenant, matchers, range } = decodeSelectRequest(body);
    const changedAt = await viewSince(theirs);
    const labelSets = await memory.labelSets(tenant, matchers, range);
    for (let first = 0; first === 0 || first < labelSets.length; first += MESSAGE_STREAMS_MAX) {
      const end = first + MESSAGE_STREAMS_MAX;
      const texts = labelSets.slice(first, end).map(({ canonical }) => canonical);
      yield [encodeLabelSets(changedAt, texts, end >= labelSets.length)];
    }
  }

  /** VOLUMES. */
  async *volumes(body: Uint8Array): AsyncGenerator<readonly Uint8Array[]> {
    const { memory, viewSince } = this.#deps;
    const { changedAt: theirs, tenant, matchers, range } = decodeSelectRequest(body);
    const changedAt = await viewSince(theirs);
    const volumes = await memory.volumes(tenant, matchers, range);
    for (let first = 0; first === 0 || first < volumes.length; first += MESSAGE_STREAMS_MAX) {
      const end = first + MESSAGE_STREAMS_MAX;
      yield [encodeVolumes({ changedAt, volumes: volumes.slice(first, end), isLast: end >= volumes.length })];
    }
  }
}

const selectionName = (nodeId: string, incarnation: number, selection: number): string =>
  `${nodeId}/${incarnation}/${selection}`;

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** Small segments as they are, large ones by name: they are added to `deferred`. */
function* partsOf(
  streams: readonly MemoryStream[],
  deferred: UnflushedSegment[],
): Generator<{ readonly part: readonly SelectedStream[]; readonly isLast: boolean }> {
  let part: SelectedStream[] = [];
  let partBytes = 0;
  let inlineLeft = INLINE_BYTES_TOTAL;
  for (const { labels, segments } of streams) {
    const snapshots: SegmentSnapshot[] = [];
    const later: DeferredSegment[] = [];
    for (const segment of segments) {
      const bytes = isLogged(segment) ? segment.bytes : snapshotSize(segment);
      if (!isLogged(segment) && bytes <= Math.min(INLINE_BYTES_MAX, inlineLeft)) {
        snapshots.push(segment);
        inlineLeft -= bytes;
        partBytes += bytes;
      } else {
        later.push({ id: segment.id, ...boundsOf(segment), bytes, place: deferred.length });
        deferred.push(segment);
      }
    }
    part.push({ labelText: bytesOfText(labels.canonical), snapshots, deferred: later });
    if (partBytes < MESSAGE_BYTES_MAX && part.length < MESSAGE_STREAMS_MAX) continue;
    yield { part, isLast: false };
    part = [];
    partBytes = 0;
  }
  yield { part, isLast: true };
}

const boundsOf = (segment: UnflushedSegment): Pick<LoggedSegment, 'minTime' | 'maxTime'> => {
  if (isLogged(segment)) return { minTime: segment.minTime, maxTime: segment.maxTime };
  const parts = [...segment.blocks, ...segment.heads].filter(({ count }) => count > 0);
  const minTime = parts.reduce((min, part) => (part.minTime < min ? part.minTime : min), parts[0]?.minTime ?? 0n);
  const maxTime = parts.reduce((max, part) => (part.maxTime > max ? part.maxTime : max), parts[0]?.maxTime ?? 0n);
  return { minTime, maxTime };
};
