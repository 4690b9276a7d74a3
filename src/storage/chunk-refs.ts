import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ChunkKeyReader, formatChunkKey } from './chunk-key.ts';
import type { ChunkRef } from './index-reader.ts';

/** Refs of one block of columns, 86 KiB: nothing is copied as they become more. */
const BLOCK_REFS = 4_096;
const BLOCK_SHIFT = 12;

/** Chosen: streams whose refs are put in order between two turns of the event loop, a few µs each. */
const STREAMS_A_TURN = 256;

/** How the key was written. */
const [SLASH_FORM, COLON_FORM, ODD_FORM] = [0, 1, 2];

/** Both ends included. */
interface RangeMs {
  readonly fromMs: number;
  readonly throughMs: number;
}

interface Block {
  readonly fromMs: Float64Array;
  readonly throughMs: Float64Array;
  readonly checksums: Uint32Array;
  readonly forms: Uint8Array;
}

/**
 * The stored chunks that a selector found, by stream. A million of them as objects with a key each take 370 MiB; as columns 21 bytes each, and the object and its key
 * are made when the chunk's turn comes.
 */
export class ChunkRefs implements Iterable<ChunkRef> {
  readonly #tenant: string;
  readonly #blocks: Block[] = [];
  #size = 0;
  #count = 0;
  /** Keys that cannot be made again of what they say, by place. */
  readonly #oddKeys = new Map<number, string>();
  readonly #streams = new Map<bigint, number>();
  readonly #fingerprints: bigint[] = [];
  /** Runs of places [start, end) that were added together, of one row each; by stream a list. */
  readonly #firstRun: number[] = [];
  readonly #lastRun: number[] = [];
  readonly #runStart: number[] = [];
  readonly #runEnd: number[] = [];
  readonly #nextRun: number[] = [];
  /** Of the run that is open. */
  #openHigh = -1;
  #openLow = -1;
  #openRow: object | undefined;

  constructor(tenant: string) {
    this.#tenant = tenant;
  }

  /** How many there are, each once. */
  get count(): number {
    return this.#count;
  }

  /** The chunk whose key the reader has read, from a row of the index: no row names one twice. */
  add(reader: ChunkKeyReader, row: object): void {
    const place = this.#size++;
    const block = this.#blocks[place >>> BLOCK_SHIFT] ?? this.#newBlock();
    const at = place & (BLOCK_REFS - 1);
    block.fromMs[at] = reader.fromMs;
    block.throughMs[at] = reader.throughMs;
    block.checksums[at] = reader.checksum;
    block.forms[at] = !reader.isUsual ? ODD_FORM : reader.hasSlash ? SLASH_FORM : COLON_FORM;
    if (!reader.isUsual) this.#oddKeys.set(place, reader.key);
    const { fingerprintHigh, fingerprintLow } = reader;
    if (fingerprintHigh !== this.#openHigh || fingerprintLow !== this.#openLow || row !== this.#openRow) {
      this.#openRun(reader, place);
      this.#openRow = row;
    }
    this.#runEnd[this.#runEnd.length - 1] = place + 1;
  }

  /** Once all are there: a chunk that is on several days counts once. */
  async settle(): Promise<void> {
    this.#openRow = undefined;
    this.#count = 0;
    for (let stream = 0; stream < this.#fingerprints.length; stream++) {
      const run = this.#firstRun[stream] ?? 0;
      const isOne = run === this.#lastRun[stream];
      this.#count += isOne ? (this.#runEnd[run] ?? 0) - (this.#runStart[run] ?? 0) : this.placesOf(stream).length;
      if (stream % STREAMS_A_TURN === STREAMS_A_TURN - 1) await nextTurn();
    }
  }

  *streams(): Generator<StreamRefs> {
    for (let stream = 0; stream < this.#fingerprints.length; stream++) yield new StreamRefs(this, stream);
  }

  ofStream(fingerprint: bigint): StreamRefs | undefined {
    const stream = this.#streams.get(fingerprint);
    return stream === undefined ? undefined : new StreamRefs(this, stream);
  }

  *[Symbol.iterator](): Generator<ChunkRef> {
    for (const stream of this.streams()) yield* stream;
  }

  fingerprintOf(stream: number): bigint {
    return this.#fingerprints[stream] ?? 0n;
  }

  /** In order of their first entries, each once. */
  placesOf(stream: number): readonly number[] {
    const places: number[] = [];
    for (let run = this.#firstRun[stream] ?? -1; run >= 0; run = this.#nextRun[run] ?? -1) {
      for (let place = this.#runStart[run] ?? 0; place < (this.#runEnd[run] ?? 0); place++) places.push(place);
    }
    places.sort((a, b) => this.#compare(a, b));
    return places.filter((place, index) => index === 0 || this.#compare(places[index - 1] ?? 0, place) !== 0);
  }

  /** From the first to the last ms of the stream's chunks that overlap the range; undefined if none does. */
  spanOf(stream: number, range: RangeMs): RangeMs | undefined {
    let [fromMs, throughMs] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let run = this.#firstRun[stream] ?? -1; run >= 0; run = this.#nextRun[run] ?? -1) {
      for (let place = this.#runStart[run] ?? 0; place < (this.#runEnd[run] ?? 0); place++) {
        const [from, through] = [this.fromMs(place), this.throughMs(place)];
        if (from > range.throughMs || through < range.fromMs) continue;
        fromMs = Math.min(fromMs, from);
        throughMs = Math.max(throughMs, through);
      }
    }
    return fromMs > throughMs ? undefined : { fromMs, throughMs };
  }

  fromMs(place: number): number {
    return this.#blockOf(place).fromMs[place & (BLOCK_REFS - 1)] ?? 0;
  }

  throughMs(place: number): number {
    return this.#blockOf(place).throughMs[place & (BLOCK_REFS - 1)] ?? 0;
  }

  checksum(place: number): number {
    return this.#blockOf(place).checksums[place & (BLOCK_REFS - 1)] ?? 0;
  }

  refAt(stream: number, place: number): ChunkRef {
    const { forms } = this.#blockOf(place);
    const at = place & (BLOCK_REFS - 1);
    const [fromMs, throughMs, checksum] = [this.fromMs(place), this.throughMs(place), this.checksum(place)];
    const identity = { tenant: this.#tenant, fingerprint: this.fingerprintOf(stream), fromMs, throughMs, checksum };
    const schema = forms[at] === COLON_FORM ? 'v11' : 'v13';
    return { key: this.#oddKeys.get(place) ?? formatChunkKey(schema, identity), ...identity };
  }

  #compare(a: number, b: number): number {
    const one = this.#blockOf(a);
    const other = this.#blockOf(b);
    const [at, otherAt] = [a & (BLOCK_REFS - 1), b & (BLOCK_REFS - 1)];
    return (
      (one.fromMs[at] ?? 0) - (other.fromMs[otherAt] ?? 0) ||
      (one.throughMs[at] ?? 0) - (other.throughMs[otherAt] ?? 0) ||
      (one.checksums[at] ?? 0) - (other.checksums[otherAt] ?? 0) ||
      (one.forms[at] ?? 0) - (other.forms[otherAt] ?? 0) ||
      compareTexts(this.#oddKeys.get(a), this.#oddKeys.get(b))
    );
  }

  #openRun(reader: ChunkKeyReader, place: number): void {
    this.#openHigh = reader.fingerprintHigh;
    this.#openLow = reader.fingerprintLow;
    const run = this.#runStart.length;
    this.#runStart.push(place);
    this.#runEnd.push(place);
    this.#nextRun.push(-1);
    const { fingerprint } = reader;
    const stream = this.#streams.get(fingerprint);
    if (stream === undefined) {
      this.#streams.set(fingerprint, this.#fingerprints.length);
      this.#fingerprints.push(fingerprint);
      this.#firstRun.push(run);
      this.#lastRun.push(run);
      return;
    }
    this.#nextRun[this.#lastRun[stream] ?? 0] = run;
    this.#lastRun[stream] = run;
  }

  #blockOf(place: number): Block {
    const block = this.#blocks[place >>> BLOCK_SHIFT];
    if (!block) throw new RangeError(`no ref at ${place}`);
    return block;
  }

  #newBlock(): Block {
    const block = {
      fromMs: new Float64Array(BLOCK_REFS),
      throughMs: new Float64Array(BLOCK_REFS),
      checksums: new Uint32Array(BLOCK_REFS),
      forms: new Uint8Array(BLOCK_REFS),
    };
    this.#blocks.push(block);
    return block;
  }
}

/** The refs of one stream. */
export class StreamRefs implements Iterable<ChunkRef> {
  readonly #refs: ChunkRefs;
  readonly #stream: number;

  constructor(refs: ChunkRefs, stream: number) {
    this.#refs = refs;
    this.#stream = stream;
  }

  get fingerprint(): bigint {
    return this.#refs.fingerprintOf(this.#stream);
  }

  /** In order of their first entries, each once: a number of its own for each. */
  places(): readonly number[] {
    return this.#refs.placesOf(this.#stream);
  }

  span(range: RangeMs): RangeMs | undefined {
    return this.#refs.spanOf(this.#stream, range);
  }

  fromMs(place: number): number {
    return this.#refs.fromMs(place);
  }

  throughMs(place: number): number {
    return this.#refs.throughMs(place);
  }

  checksum(place: number): number {
    return this.#refs.checksum(place);
  }

  at(place: number): ChunkRef {
    return this.#refs.refAt(this.#stream, place);
  }

  *[Symbol.iterator](): Generator<ChunkRef> {
    for (const place of this.places()) yield this.at(place);
  }
}

const compareTexts = (a = '', b = ''): number => (a < b ? -1 : a > b ? 1 : 0);
