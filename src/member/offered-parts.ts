import { sizeOf } from '../cluster/transport/frame.ts';
import type { AppendRun } from '../log/append-record.ts';
import { encodeSegmentPart } from '../log/segment-part.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import type { OutgoingPart } from './adopt-message.ts';
import type { Holding } from './holdings.ts';

/** How what is handed over is cut. */
export interface MessageSizes {
  /** One message of a session. */
  readonly messageBytesMax: number;
  readonly messagePartsMax: number;
  /** Runs of a part. */
  readonly partBytesMax: number;
}

/** A message is cut, sent and taken in one turn of the event loop on either side. */
export const MESSAGE_SIZES: MessageSizes = {
  messageBytesMax: 256 << 10,
  messagePartsMax: 100,
  partBytesMax: 256 << 10,
};

export interface NamedPart extends OutgoingPart {
  readonly name: string;
}

/** Most segments are one part. */
export const partsOf = (
  { name, segment, finalCount }: Holding,
  epoch: number,
  records: readonly AppendRun[],
  partBytesMax: number,
): readonly NamedPart[] => {
  const parts: NamedPart[] = [];
  let runs: AppendRun[] = [];
  let bytes = 0;
  const end = (count: number): void => {
    const pieces = encodeSegmentPart({ id: segment.id, epoch, open: segment.open, runs });
    parts.push({ name, epoch, finalCount: count, pieces, size: sizeOf(pieces) });
    runs = [];
    bytes = 0;
  };
  for (const run of records) {
    const size = run.payload?.length ?? run.columns.bytes.length;
    if (runs.length > 0 && bytes + size > partBytesMax) end(0);
    runs.push(run);
    bytes += size;
  }
  end(finalCount);
  return parts;
};

/**
 * Nobody reads them again: their memory is given back. A session lasts for seconds, after which V8 takes its records for old: 60 MB of them had it collect the
 * whole heap.
 */
export const releaseRuns = (records: readonly (readonly AppendRun[] | undefined)[]): void => {
  const memories = new Map<ArrayBufferLike, Uint8Array>();
  // All of them first: of memory that is given back nothing can be asked.
  for (const { payload } of records.flatMap((runs) => runs ?? [])) if (payload) memories.set(payload.buffer, payload);
  for (const memory of memories.values()) releaseMemory(memory);
};
