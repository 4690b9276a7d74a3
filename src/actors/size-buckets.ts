/** A member of SizeBuckets. The links live in the member, so that 100,000 of them need no further objects. */
export interface Bucketed {
  /** Bytes it holds, as last told to `update`; 0 = in no bucket. */
  bucketBytes: number;
  bucketPrevious: Bucketed | undefined;
  bucketNext: Bucketed | undefined;
}

const BUCKET_COUNT = 32;

/** Buckets by powers of two: 1, 2–3, 4–7, … */
const bucketOf = (bytes: number): number => Math.min(BUCKET_COUNT - 1, 31 - Math.clz32(bytes));

/**
 * Who holds most, in constant time per change: members sit in linked lists by the power of two of their size, longest in it first.
 * Exact order inside a bucket is not worth a heap: the first of the top bucket is within a factor of two of the largest.
 */
export class SizeBuckets<Member extends Bucketed> {
  readonly #first: (Bucketed | undefined)[] = new Array(BUCKET_COUNT).fill(undefined);
  readonly #last: (Bucketed | undefined)[] = new Array(BUCKET_COUNT).fill(undefined);
  #totalBytes = 0;

  get totalBytes(): number {
    return this.#totalBytes;
  }

  update(member: Member, bytes: number): void {
    const before = member.bucketBytes;
    if (bytes === before) return;
    this.#totalBytes += bytes - before;
    if (before > 0 && bytes > 0 && bucketOf(before) === bucketOf(bytes)) {
      member.bucketBytes = bytes;
      return;
    }
    if (before > 0) this.#unlink(member, bucketOf(before));
    member.bucketBytes = bytes;
    if (bytes > 0) this.#link(member, bucketOf(bytes));
  }

  /** A member of the topmost bucket in use: the one that has been there longest. */
  largest(): Member | undefined {
    for (let bucket = BUCKET_COUNT - 1; bucket >= 0; bucket -= 1) {
      const first = this.#first[bucket];
      if (first) return first as Member;
    }
    return undefined;
  }

  #link(member: Bucketed, bucket: number): void {
    const last = this.#last[bucket];
    member.bucketPrevious = last;
    if (last) last.bucketNext = member;
    else this.#first[bucket] = member;
    this.#last[bucket] = member;
  }

  #unlink(member: Bucketed, bucket: number): void {
    const { bucketPrevious: previous, bucketNext: next } = member;
    if (previous) previous.bucketNext = next;
    else this.#first[bucket] = next;
    if (next) next.bucketPrevious = previous;
    else this.#last[bucket] = previous;
    member.bucketPrevious = undefined;
    member.bucketNext = undefined;
  }
}
