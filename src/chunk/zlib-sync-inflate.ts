/**
 * Inflating through zlib-sync: one long-lived state instead of one for each block, which node:zlib cannot do.
 *
 * The library never frees a state (9–44 KB each) and cannot reset one, so blocks go one after another through a single state. That
 * works for blocks that end in a full flush, which is how `gzip-member.ts` writes ours: after one, the state is where it was at
 * the start. Whatever goes wrong, the caller has the same bytes to give to node:zlib, and this file takes a new state; after
 * STATES_MAX of them it stays off for the rest of the process.
 */
import { createRequire } from 'node:module';

interface InflateState {
  readonly err: number;
  readonly result: Uint8Array | string | null;
  push(bytes: Uint8Array, flush: number): void;
}

interface ZlibSync {
  readonly Z_SYNC_FLUSH: number;
  readonly Inflate: new (options: { windowBits: number; chunkSize: number }) => InflateState;
}

/** Output buffer of the state. Output beyond it makes the library grow it, so only smaller blocks are given to it. */
const OUTPUT_SIZE = 1 << 20;
/** Deflate makes at most 1032 bytes of one: what 64 KiB may become stays bounded, whatever the bytes are. */
const COMPRESSED_SIZE_MAX = 64 << 10;
/** Bounds what the states of corrupt blocks leak (44 KB each). */
const STATES_MAX = 64;
/**
 * A stored block of zeros, as long as deflate can look back. Pushed before each block (1–2 µs), so that a forged one cannot read what
 * came before it: another tenant's lines.
 */
const WINDOW_OF_ZEROS = Buffer.concat([Buffer.from([0x00, 0x00, 0x80, 0xff, 0x7f]), Buffer.alloc(32 << 10)]);

const load = (): ZlibSync | undefined => {
  try {
    return createRequire(import.meta.url)('zlib-sync') as ZlibSync;
  } catch {
    return undefined; // not compiled on this machine: node:zlib does all the work
  }
};

const library = load();

export const isZlibSyncLoaded = (): boolean => library !== undefined;

/** One inflate state for block after block. */
export class FlushedInflater {
  #state: InflateState | undefined = undefined;
  #statesMade = 0;

  /**
   * Raw deflate data that ends in a full flush → its `size` plain bytes (a copy); undefined if the library is not there or the bytes are
   * not what they should be.
   */
  inflate(flushed: Uint8Array, size: number): Buffer | undefined {
    if (!library || flushed.length > COMPRESSED_SIZE_MAX || size >= OUTPUT_SIZE) return undefined;
    const state = this.#state ?? this.#newState(library);
    if (!state) return undefined;
    state.push(WINDOW_OF_ZEROS, library.Z_SYNC_FLUSH);
    if (state.err === 0) state.push(flushed, library.Z_SYNC_FLUSH);
    const plain = state.err === 0 ? state.result : null;
    if (plain !== null && typeof plain !== 'string' && plain.length === size) return plain as Buffer;
    this.drop();
    return undefined;
  }

  /** After output that failed a checksum: who knows where the state is. */
  drop(): void {
    this.#state = undefined;
  }

  #newState(from: ZlibSync): InflateState | undefined {
    if (this.#statesMade === STATES_MAX) return undefined;
    this.#statesMade += 1;
    this.#state = new from.Inflate({ windowBits: -15, chunkSize: OUTPUT_SIZE });
    return this.#state;
  }
}
