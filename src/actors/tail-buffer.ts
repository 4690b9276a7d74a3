import { headTimes } from '../chunk/head-views.ts';
import { type HeadSnapshot, isLogged } from '../chunk/memory-format.ts';
import type { MemoryStream } from '../query/query-source.ts';
import type { TailFrame } from './node-services.ts';

interface Arrived {
  readonly stream: MemoryStream;
  readonly arrivedMs: number;
  readonly bytes: number;
}

/** Entries that one frame may name as dropped (Loki's number). */
const DROPPED_MAX = 1000;

/**
 * What was appended and not shown yet, of one tail. Bounded in bytes: when the reader is slow the newest are dropped, and named.
 */
export class TailBuffer {
  readonly #bytesMax: number;
  #arrived: Arrived[] = [];
  #bytes = 0;
  #dropped: TailFrame['dropped'][number][] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(stream: MemoryStream, arrivedMs: number): void {
    const bytes = bytesOf(stream);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      this.#drop(stream);
      return;
    }
    this.#bytes += bytes;
    this.#arrived.push({ stream, arrivedMs, bytes });
  }

  get isEmpty(): boolean {
    return this.#arrived.length === 0;
  }

  /** Takes out what arrived until then; no more than `bytesMax`, but for the first. */
  take(arrivedUntilMs: number, bytesMax = Number.POSITIVE_INFINITY): readonly MemoryStream[] {
    let count = 0;
    let taken = 0;
    for (const { arrivedMs, bytes } of this.#arrived) {
      if (arrivedMs > arrivedUntilMs || (count > 0 && taken + bytes > bytesMax)) break;
      count += 1;
      taken += bytes;
    }
    this.#bytes -= taken;
    return this.#arrived.splice(0, count).map(({ stream }) => stream);
  }

  /** Dropped elsewhere. */
  addDropped(entries: TailFrame['dropped']): void {
    for (const entry of entries.slice(0, DROPPED_MAX - this.#dropped.length)) this.#dropped.push(entry);
  }

  takeDropped(): TailFrame['dropped'] {
    const dropped = this.#dropped;
    this.#dropped = [];
    return dropped;
  }

  #drop({ labels, segments }: MemoryStream): void {
    for (const head of headsOf(segments)) {
      for (const timeNs of headTimes(head).subarray(0, DROPPED_MAX - this.#dropped.length)) {
        this.#dropped.push({ timeNs, labels: labels.pairs });
      }
    }
  }
}

/** What was just appended is never in the log alone. */
const headsOf = (segments: MemoryStream['segments']): readonly HeadSnapshot[] =>
  segments.flatMap((segment) => (isLogged(segment) ? [] : segment.heads));

const bytesOf = ({ segments }: MemoryStream): number => {
  let bytes = 0;
  for (const { region } of headsOf(segments)) bytes += region.size;
  return bytes;
};
