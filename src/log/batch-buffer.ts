import { type AppendPlan, type TimeBounds, writeAppend } from './append-record.ts';
import { paddedSize, RECORD_HEADER_SIZE, RecordType, sealRecord } from './record-format.ts';
import type { LogSegment } from './segment-table.ts';
import { batchRecordSize, type Writer, writeBatch } from './state-records.ts';

/** Room in front of the records for the BATCH record, which is known last. */
const HEADROOM = 4096;

/** A record on its way: what the index will hold of it once it is durable. */
export interface BatchRecord {
  readonly segment: LogSegment;
  readonly type: number;
  /** From the start of the buffer. */
  readonly at: number;
  readonly length: number;
  readonly first: number;
  readonly count: number;
  readonly bounds: TimeBounds | undefined;
}

/** A record other than APPEND, or one copied from an older file. */
export interface PlainRecord {
  readonly type: number;
  readonly payload: Uint8Array;
  readonly first: number;
  readonly count: number;
  readonly bounds?: TimeBounds | undefined;
}

/**
 * One half of the double buffer: a batch as it will be written. Shared memory, so that the thread of the log reads it where it lies.
 *
 *   │ … headroom … BATCH │ record │ record │ …        BATCH is put in front when the batch is closed
 */
export class BatchBuffer {
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #salt: number;
  readonly #writers = new Set<Writer>();
  #records: BatchRecord[] = [];
  #used = HEADROOM;

  /** @param salt of the files that this process writes */
  constructor(size: number, salt: number) {
    const memory = new SharedArrayBuffer(HEADROOM + size);
    this.#bytes = new Uint8Array(memory);
    this.#words = new Uint32Array(memory, 0, memory.byteLength >>> 2);
    this.#salt = salt;
  }

  get records(): readonly BatchRecord[] {
    return this.#records;
  }

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  /** Bytes of records. */
  get size(): number {
    return this.#used - HEADROOM;
  }

  hasRoom(size: number, writer: Writer): boolean {
    if (this.#used + size > this.#bytes.length) return false;
    return this.#writers.has(writer) || batchRecordSize([...this.#writers, writer]) <= HEADROOM;
  }

  append(segment: LogSegment, first: number, plan: AppendPlan): void {
    const bounds = writeAppend(this.#bytes, this.#words, this.#used, first, plan);
    const count = plan.range.end - plan.range.first;
    this.#finish({ segment, type: RecordType.APPEND, at: this.#used, length: plan.length, first, count, bounds });
  }

  add(segment: LogSegment, { type, payload, first, count, bounds }: PlainRecord): void {
    this.#bytes.set(payload, this.#used + RECORD_HEADER_SIZE);
    this.#finish({
      segment,
      type,
      at: this.#used,
      length: RECORD_HEADER_SIZE + payload.length,
      first,
      count,
      bounds,
    });
  }

  /** The finished batch. Nothing may be added until `clear`. */
  close(sequence: number): { readonly bytes: Uint8Array; readonly start: number } {
    const writers = [...this.#writers];
    const length = batchRecordSize(writers);
    const start = HEADROOM - paddedSize(length);
    const size = this.#used - start;
    writeBatch(this.#bytes, start, { sequence, size, records: this.#records.length, writers });
    sealRecord(this.#bytes, this.#words, start, { type: RecordType.BATCH, length, writer: 0, counter: 0 }, this.#salt);
    return { bytes: this.#bytes.subarray(start, this.#used), start };
  }

  clear(): void {
    this.#records = [];
    this.#writers.clear();
    this.#used = HEADROOM;
  }

  #finish(record: BatchRecord): void {
    const { segment, type, at, length } = record;
    const { writer, id } = segment;
    this.#writers.add(writer);
    const header = { type, length, writer: writer.number, counter: id.counter };
    this.#used = sealRecord(this.#bytes, this.#words, at, header, this.#salt);
    this.#records.push(record);
  }
}

/** What a payload takes in a batch. */
export const sizeInBatch = (payloadSize: number): number => paddedSize(RECORD_HEADER_SIZE + payloadSize);
