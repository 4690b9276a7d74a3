/**
 * What the log holds: writers → segments → places (a segment in a file) → records. Kept by what is durable only. No I/O.
 *
 *   segment:  live ──FLUSHED(complete), or all its entries; DROP; RELEASED──▶ dead     a file whose segments are all dead can go
 *
 *   of another disk:  nobody's ──adoption begins──▶ live, not held ──CUSTODY──▶ live, held ──RELEASED──▶ dead ──CUSTODY, later one──▶ held …
 */
import type { SegmentId } from '../chunk/memory-format.ts';
import { int64 } from '../chunk/varint.ts';
import { runSizeOf, type TimeBounds, widenBy } from './append-record.ts';
import { type Damage, FileIndex, type IndexedRecord, NO_RECORD, sizeInFile } from './file-index.ts';
import { packed } from './packed-bytes.ts';
import { isEndType, RecordType } from './record-format.ts';
import { decodeOpen, type SegmentHeader, type Writer } from './state-records.ts';

/** Second number of a SEAL record: it may go to another disk. */
export const OFFERED = 1;

/** A segment's records in one file. */
export interface Place {
  readonly file: IndexedFile;
  readonly segment: LogSegment;
  /** The newest of them; the index chains the others. */
  last: number;
  /** Bytes of its records. */
  bytes: number;
  /** Of APPEND records. */
  entries: number;
  /** Lines, what stands between them, metadata. */
  runBytes: number;
  bounds: TimeBounds | undefined;
  /** It has what a restart would take for an unflushed segment. */
  hasData: boolean;
  /** It says that the segment is dead. */
  hasEnd: boolean;
}

/** One segment as the log knows it: what a restart would find. */
export class LogSegment {
  readonly id: SegmentId;
  readonly writer: Writer;
  /** It was first logged on another disk: it is this one's only with CUSTODY. */
  readonly isForeign: boolean;
  /** In the order in which this process first heard of them: as their first records lie in the log, after a restart file by file with the newest first. */
  readonly ordinal: number;
  readonly places: Place[] = [];
  /** Entries that are durable, or lost to damage: one more than the highest index. */
  count = 0;
  /** Of a SEAL record: it will have no more than so many. */
  finalCount: number | undefined = undefined;
  /** Of a FLUSHED record. */
  flushed: { readonly count: number; readonly isComplete: boolean } | undefined = undefined;
  isDropped = false;
  /** Of a SEAL record: another disk may have a copy of it. */
  isOffered = false;
  /** Epochs of CUSTODY and of RELEASED and ADOPT records: the higher one says whose it is. Its own disk has it from epoch 0 on. */
  custodyEpoch: number | undefined = undefined;
  releasedEpoch = 0;
  /** Of a CUSTODY or RELEASED record that may be on its way to the disk: the next one is above it, and a release is known of before it is durable. */
  pendingEpoch = 0;
  /** It is to be released at this epoch. */
  releasingEpoch = 0;
  /** Its records are coming from another node: they stay, though it is not held yet. See SegmentTable.setAdopting. */
  isAdopting = false;
  /** CUSTODY of it is on its way to the disk, or may be: its records stay, whoever gives the adoption up. See SegmentTable.setTaking. */
  isTaking = false;
  /** Entries handed to the log, whether durable yet or not: the index of the next one. */
  accepted = 0;
  /** Appends that wait in line. */
  waiting = 0;
  /** Entries of it were refused: it takes no more, so that the log has a prefix of it. */
  isRefused = false;
  /** It could not be read when it was to go to another node: it stays, and is stored as far as it can be read. */
  isUnreadable = false;
  #open: Uint8Array | undefined = undefined;

  constructor(id: SegmentId, writer: Writer, ordinal: number, isForeign: boolean) {
    this.id = id;
    this.writer = writer;
    this.ordinal = ordinal;
    this.isForeign = isForeign;
  }

  /** Tenant, labels and so on, read anew each time; undefined if its OPEN record is lost. */
  get header(): SegmentHeader | undefined {
    return this.#open && decodeOpen(this.#open);
  }

  /** Payload of its OPEN record. */
  get open(): Uint8Array | undefined {
    return this.#open;
  }

  set open(payload: Uint8Array | undefined) {
    this.#open = payload && packed(payload);
  }

  /** Another disk has or had it too: its commit is remembered for longer than this log needs it. */
  get wasShared(): boolean {
    return this.isForeign || this.isOffered || this.custodyEpoch !== undefined || this.releasedEpoch > 0;
  }

  /** Under which this node has it. */
  get epoch(): number {
    return this.custodyEpoch ?? 0;
  }

  /** What comes next in its history is above this. */
  get highestEpoch(): number {
    return Math.max(this.epoch, this.releasedEpoch, this.pendingEpoch);
  }

  /** It was let go, and RELEASED is not durable yet: neither held nor to be taken. */
  get isReleasing(): boolean {
    return this.releasingEpoch > Math.max(this.epoch, this.releasedEpoch);
  }

  /** It is for this node to answer for it and to flush it, as far as its records say. */
  get isHeld(): boolean {
    if (this.isForeign && this.custodyEpoch === undefined) return false;
    return this.epoch >= this.releasedEpoch;
  }

  get isDead(): boolean {
    if (this.isDropped || (!this.isHeld && !this.isAdopting && !this.isTaking)) return true;
    return this.flushed !== undefined && (this.flushed.isComplete || this.flushed.count >= this.count);
  }

  /** It has entries that this log must keep. */
  get isLive(): boolean {
    return this.count > 0 && !this.isDead;
  }

  /** It has entries that are for this node to store, and are not stored. */
  get isUnflushed(): boolean {
    return this.isLive && this.isHeld;
  }

  /** Bytes in the log, all files. */
  get bytes(): number {
    return this.places.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Bytes of its entries without their times: lines, what stands between them, metadata. Records that lie in two files count once. */
  get runBytes(): number {
    let runBytes = 0;
    let entries = 0;
    for (const place of this.places) {
      runBytes += place.runBytes;
      entries += place.entries;
    }
    return entries > this.count ? Math.round((runBytes * this.count) / entries) : runBytes;
  }

  /** Bounds in ns; undefined while it has no entry. */
  get minTime(): bigint | undefined {
    const bounds = this.#bounds();
    return bounds && int64(bounds.minLow, bounds.minHigh);
  }

  get maxTime(): bigint | undefined {
    const bounds = this.#bounds();
    return bounds && int64(bounds.maxLow, bounds.maxHigh);
  }

  #bounds(): TimeBounds | undefined {
    let all: TimeBounds | undefined;
    for (const { bounds } of this.places) {
      if (!bounds) continue;
      if (all) widenBy(all, bounds);
      else all = { ...bounds };
    }
    return all;
  }
}

/** A file of the log, and what lies in it. */
export class IndexedFile {
  readonly number: number;
  readonly salt: number;
  readonly createdMs: number;
  readonly index = new FileIndex();
  readonly places: Place[] = [];
  readonly damage: Damage[] = [];
  /** Bytes whose content is known to be durable. */
  size = 0;
  /** Where its footer begins, once it has one. */
  footerAt: number | undefined = undefined;
  /** Whatever of it is needed is durable in a newer file too. */
  isCopied = false;
  /** How often a segment in it came to life that was dead: what was passed over as such is needed. */
  revivals = 0;
  /** A record could not be read when it was to be copied: it stays until its segments are dead. */
  isUnreadable = false;
  /** It is being removed: nobody may begin to read it. */
  isLeaving = false;
  /** Bytes of records of live segments. */
  liveBytes = 0;
  liveSegments = 0;
  /** Number of the file before it, of which its header says how much counts. */
  previous: number | undefined = undefined;
  /** Readers at work: it must stay. */
  pins = 0;

  /** Where its batches end. */
  get end(): number {
    return this.footerAt ?? this.size;
  }

  constructor(number: number, salt: number, createdMs: number) {
    this.number = number;
    this.salt = salt;
    this.createdMs = createdMs;
  }
}

/** What nodes called themselves that had one disk each and no cluster. */
const OLD_NODE_ID = 'local';

export class SegmentTable {
  /** Of the disk: other writers' segments are foreign. undefined: not known, and none is. */
  uid: string | undefined;
  readonly files = new Map<number, IndexedFile>();
  /** Names of files that never became part of the log, and that the disk has not let go of yet. */
  readonly leftovers = new Set<string>();
  readonly #writers: Writer[] = [];
  readonly #segments: Map<number, LogSegment>[] = [];
  #unflushedCount = 0;
  #nextOrdinal = 0;

  constructor(uid?: string) {
    this.uid = uid;
  }

  /** Segments that are unflushed. Asked every few milliseconds by a node that leaves, which may have a million dead ones. */
  get unflushedCount(): number {
    return this.#unflushedCount;
  }

  /** The writer with this name: its number is good for this process. */
  writer(nodeId: string, incarnation: number): Writer {
    const known = this.#writers.find((one) => one.incarnation === incarnation && one.nodeId === nodeId);
    if (known) return known;
    const writer = { number: this.#writers.length, nodeId, incarnation };
    this.#writers.push(writer);
    this.#segments.push(new Map());
    return writer;
  }

  /** The segment, new if it is not known. @param id with this counter, if there is one: it is kept */
  segment(writer: Writer, counter: number, id?: SegmentId): LogSegment {
    const ofWriter = this.#segments[writer.number] as Map<number, LogSegment>;
    const known = ofWriter.get(counter);
    if (known) return known;
    const { nodeId, incarnation } = writer;
    const isForeign = this.uid !== undefined && nodeId !== this.uid && nodeId !== OLD_NODE_ID;
    const segment = new LogSegment(id ?? { nodeId, incarnation, counter }, writer, this.#nextOrdinal, isForeign);
    this.#nextOrdinal += 1;
    ofWriter.set(counter, segment);
    return segment;
  }

  find({ nodeId, incarnation, counter }: SegmentId): LogSegment | undefined {
    const writer = this.#writers.find((one) => one.incarnation === incarnation && one.nodeId === nodeId);
    return writer && this.#segments[writer.number]?.get(counter);
  }

  /** CUSTODY is written, or is known to have been or not. */
  setTaking(segment: LogSegment, isTaking: boolean): void {
    const { isLive: wasLive, isUnflushed: wasUnflushed } = segment;
    segment.isTaking = isTaking;
    this.#note(segment, wasLive, wasUnflushed);
  }

  /** Its records begin to come, with `count` entries there already, or come no more: then it is nobody's, unless there is CUSTODY. */
  setAdopting(segment: LogSegment, isAdopting: boolean, count = segment.count): void {
    const { isLive: wasLive, isUnflushed: wasUnflushed } = segment;
    segment.isAdopting = isAdopting;
    // Before liveness is compared: a file must not count the segment twice.
    segment.count = count;
    this.#note(segment, wasLive, wasUnflushed);
  }

  /** A segment of which nothing is durable. */
  forgetUnwritten(segment: LogSegment): void {
    if (segment.places.length === 0) this.#segments[segment.writer.number]?.delete(segment.id.counter);
  }

  /** All that have records, the dead too. */
  *segments(): Iterable<LogSegment> {
    for (const ofWriter of this.#segments) yield* ofWriter.values();
  }

  /** A record is durable in `file`. The same one may come again, from another file. */
  add(file: IndexedFile, segment: LogSegment, record: IndexedRecord, bounds?: TimeBounds): void {
    const { isLive: wasLive, isUnflushed: wasUnflushed } = segment;
    const place = placeIn(file, segment);
    if (place.last === NO_RECORD && wasLive) file.liveSegments += 1;
    place.last = file.index.add(record, place.last);
    const size = sizeInFile(record);
    place.bytes += size;
    if (wasLive) file.liveBytes += size;
    if (record.type === RecordType.APPEND) {
      place.entries += record.count;
      place.runBytes += runSizeOf(record);
      if (bounds && place.bounds) widenBy(place.bounds, bounds);
      else if (bounds) place.bounds = { ...bounds };
    }
    if (isEndType(record.type)) place.hasEnd = true;
    else place.hasData = true;
    apply(segment, record);
    this.#note(segment, wasLive, wasUnflushed);
  }

  /** Something has changed about it. */
  #note(segment: LogSegment, wasLive: boolean, wasUnflushed: boolean): void {
    noteLiveness(segment, wasLive);
    this.#unflushedCount += Number(segment.isUnflushed) - Number(wasUnflushed);
  }

  /** Its file is gone. */
  forgetFile(file: IndexedFile): void {
    this.files.delete(file.number);
    for (const { segment } of file.places) {
      const at = segment.places.findIndex((place) => place.file === file);
      segment.places.splice(at, 1);
      // Records of one that is coming from another node are on their way to the disk.
      if (!segment.isAdopting && !segment.isTaking) this.forgetUnwritten(segment);
    }
  }
}

const placeIn = (file: IndexedFile, segment: LogSegment): Place => {
  const newest = segment.places.at(-1);
  const known = newest?.file === file ? newest : segment.places.find((place) => place.file === file);
  if (known) return known;
  const place: Place = {
    file,
    segment,
    last: NO_RECORD,
    bytes: 0,
    entries: 0,
    runBytes: 0,
    bounds: undefined,
    hasData: false,
    hasEnd: false,
  };
  segment.places.push(place);
  file.places.push(place);
  return place;
};

const apply = (segment: LogSegment, { type, first, count }: IndexedRecord): void => {
  switch (type) {
    case RecordType.APPEND:
      segment.count = Math.max(segment.count, first + count);
      return;
    case RecordType.SEAL:
      segment.finalCount = Math.min(first, segment.finalCount ?? first);
      if (count === OFFERED) segment.isOffered = true;
      return;
    case RecordType.FLUSHED:
      segment.flushed = largerFlush(segment.flushed, { count: first, isComplete: count !== 0 });
      return;
    case RecordType.DROP:
      segment.isDropped = true;
      return;
    case RecordType.ADOPT:
      segment.releasedEpoch = Math.max(first, segment.releasedEpoch);
      return;
    case RecordType.CUSTODY:
      segment.custodyEpoch = Math.max(first, segment.custodyEpoch ?? 0);
      segment.finalCount = Math.min(count, segment.finalCount ?? count);
      return;
    case RecordType.RELEASED:
      segment.finalCount = Math.min(first, segment.finalCount ?? first);
      segment.releasedEpoch = Math.max(count, segment.releasedEpoch);
      return;
  }
};

const largerFlush = (
  known: LogSegment['flushed'],
  flushed: { readonly count: number; readonly isComplete: boolean },
): LogSegment['flushed'] => {
  if (!known) return flushed;
  return { count: Math.max(known.count, flushed.count), isComplete: known.isComplete || flushed.isComplete };
};

const noteLiveness = (segment: LogSegment, wasLive: boolean): void => {
  const { isLive } = segment;
  if (isLive === wasLive) return;
  const sign = isLive ? 1 : -1;
  for (const { file, bytes } of segment.places) {
    file.liveBytes += sign * bytes;
    file.liveSegments += sign;
    if (!isLive) continue;
    file.isCopied = false;
    file.revivals += 1;
  }
};
