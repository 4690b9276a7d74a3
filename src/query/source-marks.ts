import { createHash, type Hash } from 'node:crypto';
import type { UnflushedSegment } from '../chunk/memory-format.ts';
import { readsClock } from '../logql/reads-clock.ts';
import type { TimeRangeNs } from '../protocol/time-range.ts';
import { floorMs } from '../protocol/whole-ms.ts';
import type { StreamRefs } from '../storage/chunk-refs.ts';
import { boundsOfSegment } from './gather-streams.ts';
import type { TenantSources } from './gather-tenants.ts';
import type { DeletedEntries, RetentionBound } from './scan/hidden-entries.ts';
import { sortInTurns } from './sort-in-turns.ts';
import { SERIES_PER_LOOK, type Turns } from './turns.ts';

/** Of a tenant, once memory and index were asked. */
export type ReadSources = Pick<TenantSources, 'tenant' | 'hidden' | 'gathered'>;

/** Refs in marks, or streams, between two looks at the clock, each about a microsecond. */
const SEEN_PER_LOOK = 256;

/** fingerprint u64 | from f64 | through f64 | checksum u32 */
const REF_BYTES = 28;
const REFS_HASHED_TOGETHER = 64;

/**
 * For each range a text that says which entries there are in it: the same text at two times, the same entries. It names the chunks that overlap the range
 * (chunks never change, and their keys have checksums of their contents) and the delete requests that do. undefined where that says too little: entries of the
 * range are not stored yet, or what hides some of them goes by the clock.
 * @param ranges neither starts nor ends go back from one to the next; within what was gathered
 */
export const sourceMarks = async (
  tenants: readonly ReadSources[],
  ranges: readonly TimeRangeNs[],
  turns: Turns,
): Promise<readonly (string | undefined)[]> => {
  const marks = ranges.map((range) => new Mark(range));
  for (const source of tenants) {
    await beginTenant(marks, source, turns);
    const stored: StreamRefs[] = [];
    let looked = 0;
    for (const { memory, refs } of source.gathered.streams()) {
      for (const { segments } of memory) for (const segment of segments) unsettle(marks, segment);
      if (refs) stored.push(refs);
      looked += 1;
      if (looked % SEEN_PER_LOOK === 0) await turns.breathe();
    }
    // They come in the order in which the store had them.
    let added = 0;
    for (const refs of await sortInTurns(stored, byFingerprint, turns))
      added = await addRefs(marks, refs, added, turns);
  }
  return marks.map((mark) => mark.text());
};

const beginTenant = async (marks: readonly Mark[], { tenant, hidden }: ReadSources, turns: Turns): Promise<void> => {
  const deletes = hidden?.deletes.map(hashedDelete) ?? [];
  for (const [index, mark] of marks.entries()) {
    mark.beginTenant(tenant, deletes, hidden?.retention ?? []);
    if (index % SERIES_PER_LOOK === 0) await turns.breathe();
  }
};

const byFingerprint = (a: StreamRefs, b: StreamRefs): number =>
  a.fingerprint < b.fingerprint ? -1 : a.fingerprint > b.fingerprint ? 1 : 0;

const unsettle = (marks: readonly Mark[], segment: UnflushedSegment): void => {
  const bounds = boundsOfSegment(segment);
  if (!bounds) return;
  const throughMs = -floorMs(-bounds.endNs);
  for (let index = firstEndingAt(marks, floorMs(bounds.startNs)); index < marks.length; index += 1) {
    const mark = marks[index]!;
    if (mark.startMs > throughMs) return;
    mark.isSettled = false;
  }
};

/** @param added since the last look at the clock @returns the same afterwards */
const addRefs = async (marks: readonly Mark[], refs: StreamRefs, added: number, turns: Turns): Promise<number> => {
  const { fingerprint } = refs;
  let unseen = added;
  for (const place of refs.places()) {
    const [fromMs, throughMs] = [refs.fromMs(place), refs.throughMs(place)];
    unseen += 1;
    for (let index = firstEndingAt(marks, fromMs); index < marks.length; index += 1) {
      const mark = marks[index]!;
      if (mark.startMs > throughMs) break;
      if (mark.isSettled) mark.addRef(fingerprint, fromMs, throughMs, refs.checksum(place));
      unseen += 1;
    }
    if (unseen < SEEN_PER_LOOK) continue;
    unseen = 0;
    await turns.breathe();
  }
  return unseen;
};

/** The first that ends at `ms` or later. */
const firstEndingAt = (marks: readonly Mark[], ms: number): number => {
  let low = 0;
  let high = marks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (marks[middle]!.endMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
};

/** The mark of one range while it is made. */
class Mark {
  readonly #range: TimeRangeNs;
  /** Rounded outwards, as chunks' bounds are. */
  readonly startMs: number;
  readonly endMs: number;
  isSettled = true;
  readonly #hash: Hash = createHash('sha256');
  /** Not hashed yet: a call for each ref would cost more than the hash. */
  #refs: Buffer | undefined;
  #refsSize = 0;

  constructor(range: TimeRangeNs) {
    this.#range = range;
    this.startMs = floorMs(range.startNs);
    this.endMs = -floorMs(-range.endNs);
  }

  beginTenant(tenant: string, deletes: readonly HashedDelete[], retention: readonly RetentionBound[]): void {
    const { startNs, endNs } = this.#range;
    const own = deletes.filter((one) => one.startNs <= endNs && one.endNs >= startNs);
    this.#hashRefs();
    this.#hash.update(`${JSON.stringify([tenant, own.length])}\n`);
    for (const { hash } of own) this.#hash.update(hash);
    if (own.some((one) => one.readsClock)) this.isSettled = false;
    if (retention.some(({ keptFromNs }) => keptFromNs !== undefined && keptFromNs > startNs)) this.isSettled = false;
  }

  addRef(fingerprint: bigint, fromMs: number, throughMs: number, checksum: number): void {
    this.#refs ??= Buffer.alloc(REF_BYTES * REFS_HASHED_TOGETHER);
    const at = this.#refsSize;
    this.#refs.writeBigUInt64LE(fingerprint, at);
    this.#refs.writeDoubleLE(fromMs, at + 8);
    this.#refs.writeDoubleLE(throughMs, at + 16);
    this.#refs.writeUInt32LE(checksum, at + 24);
    this.#refsSize += REF_BYTES;
    if (this.#refsSize === this.#refs.length) this.#hashRefs();
  }

  /** Call it last. */
  text(): string | undefined {
    if (!this.isSettled) return undefined;
    this.#hashRefs();
    return this.#hash.digest('base64');
  }

  #hashRefs(): void {
    if (this.#refs) this.#hash.update(this.#refs.subarray(0, this.#refsSize));
    this.#refsSize = 0;
  }
}

/** A tenant may have a thousand, and each may touch all ranges. */
interface HashedDelete extends TimeRangeNs {
  readonly hash: Buffer;
  /** What it is about may be something else later. */
  readonly readsClock: boolean;
}

const hashedDelete = (entries: DeletedEntries): HashedDelete => ({
  startNs: entries.startNs,
  endNs: entries.endNs,
  hash: createHash('sha256').update(JSON.stringify(entries, bigintAsText)).digest(),
  readsClock: readsClock(entries.stages),
});

const bigintAsText = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);
