/**
 * A task of a scan for another node, and what comes of it. Both are what workers of one process say to each other, in V8's own format: nodes send
 * it only to nodes of the same protocol version.
 *
 *   task:  size u32 │ serialized │ snapshots of memory that is sent along
 */
import { deserialize, serialize } from 'node:v8';
import { isLogged, type SegmentSnapshot } from '../chunk/memory-format.ts';
import { decodeSnapshots, encodeSnapshots } from '../chunk/snapshot-codec.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import { badRequest } from '../protocol/wire.ts';
import type { ReadBounds, ScanPlan, ScanResult } from '../query/scan/scan-messages.ts';
import type { PlacedResult, ScanWork } from '../query/scan-places.ts';
import { isRemote } from './remote-segment.ts';

export interface PlacedTask {
  /** One, for a log scan. */
  readonly plans: readonly ScanPlan[];
  readonly slices: readonly PlacedSlice[];
  /** Of a log scan, for each slice. */
  readonly bounds: readonly ReadBounds[] | undefined;
}

export interface PlacedSlice {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly chunks: readonly { readonly key: string; readonly checksum: number }[];
  readonly memory: readonly PlacedMemory[];
}

export interface PlacedMemory {
  readonly labels: LabelSet;
  readonly segments: readonly PlacedSegment[];
}

/** Sent along, or in a selection of the asker's that lives at the other node. */
export type PlacedSegment = { readonly snapshot: number } | { readonly selection: number; readonly place: number };

const SIZE_BYTES = 4;

/** Every logged segment of the slices is remote. */
export const encodeTask = (plans: readonly ScanPlan[], { slices, bounds }: ScanWork): readonly Uint8Array[] => {
  const snapshots: SegmentSnapshot[] = [];
  const placed = slices.map(({ startNs, endNs, refs, memory }) => ({
    startNs,
    endNs,
    chunks: refs.map(({ key, checksum }) => ({ key, checksum })),
    memory: memory.map(({ labels, segments }) => ({
      labels,
      segments: segments.map((segment): PlacedSegment => {
        if (isRemote(segment)) return { selection: segment.at.selection, place: segment.at.place };
        if (isLogged(segment)) throw new Error('a segment of this node cannot be read elsewhere');
        snapshots.push(segment);
        return { snapshot: snapshots.length - 1 };
      }),
    })),
  }));
  const task = serialize({ plans, slices: placed, bounds } satisfies PlacedTask);
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeUInt32LE(task.length);
  return [size, task, encodeSnapshots(snapshots)];
};

/** @throws RefusedError BAD_REQUEST */
export const decodeTask = (
  message: Uint8Array,
): { readonly task: PlacedTask; readonly snapshots: readonly SegmentSnapshot[] } => {
  if (message.length < SIZE_BYTES) throw badRequest('a scan task: cut off');
  const size = new DataView(message.buffer, message.byteOffset).getUint32(0, true);
  const serialized = message.subarray(SIZE_BYTES, SIZE_BYTES + size);
  return {
    task: deserialize(serialized) as PlacedTask,
    snapshots: decodeSnapshots(message.subarray(SIZE_BYTES + size)),
  };
};

export const encodePlacedResult = (result: ScanResult, chunksDownloaded: number): Uint8Array =>
  serialize({ result, chunksDownloaded } satisfies PlacedResult);

export const decodePlacedResult = (message: Uint8Array): PlacedResult => deserialize(message) as PlacedResult;
