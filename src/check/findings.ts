/** What a check of a store finds, and what it counts. */
import type { IndexPlace } from '../storage/index-store.ts';

export type FindingKind =
  /** A row whose object is not there: every query that meets it fails. */
  | 'dangling-row'
  /** A row that its chunk does not have: of another series, day or time. */
  | 'misplaced-row'
  /** A row that names no chunk of its tenant: a later version may have written it. */
  | 'unreadable-row'
  /** A chunk that is committed and lacks rows: queries answer without it, on some of its days or on all. */
  | 'missing-rows'
  /** A series with chunks that some matcher does not find. */
  | 'missing-label-rows'
  /** What finds a series on a day on which it has no chunks. */
  | 'stale-label-row'
  /** An object that no row names. */
  | 'orphan-object'
  /** An object whose bytes are not those that its key names. */
  | 'corrupt-object'
  /** A commit whose rows were never all written. */
  | 'unsettled-commit';

export interface Finding {
  readonly kind: FindingKind;
  /** Key of the chunk, where it is about one. */
  readonly chunk?: string;
  /** Where the row is, where it is about one. */
  readonly row?: IndexPlace;
  readonly why: string;
  readonly isMended: boolean;
}

export class CheckFigures {
  /** In scope, as far as was listed ahead; `isCounted`: to the end. */
  chunks = 0;
  isCounted = false;
  /** Looked at. */
  objects = 0;
  bytes = 0;
  rows = 0;
  /** Left alone, since they are on their way out: marked by compaction. */
  marked = 0;
  /** Left alone, since they may be on their way in: an upload whose rows follow, a series that is just being written. */
  young = 0;
  /** Objects of days before the first table that is there: retention dropped theirs. */
  dropped = 0;
  /** Objects that were deleted while they were looked at. */
  gone = 0;
  /** Orphans that were deleted while their rows were being written, and were put back. */
  restored = 0;
  /** Rows of corrupt objects that were removed as asked. */
  unindexed = 0;
  /** Rows of corrupt objects that were to be removed and were kept, by the reason: as many as tenants at most. */
  readonly held = new Map<string, number>();
  /** Objects whose names are no keys of chunks. */
  others = 0;
  readonly found = new Map<FindingKind, number>();
  readonly mended = new Map<FindingKind, number>();

  add({ kind, isMended }: Finding): void {
    this.found.set(kind, (this.found.get(kind) ?? 0) + 1);
    if (isMended) this.mended.set(kind, (this.mended.get(kind) ?? 0) + 1);
  }

  /** Findings that are left as they are. */
  get left(): number {
    return sumOf(this.found) - sumOf(this.mended);
  }
}

const sumOf = (counts: ReadonlyMap<unknown, number>): number => [...counts.values()].reduce((sum, one) => sum + one, 0);
