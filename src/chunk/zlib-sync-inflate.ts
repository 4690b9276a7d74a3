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
/** Bounds what the states of corrupt blocks leak. */
const STATES_MAX = 16;

const load = (): ZlibSync | undefined => {
  try {
    return createRequire(import.meta.url)('zlib-sync') as ZlibSync;
  } catch {
    return undefined; // not compiled on this machine: node:zlib does all the work
  }
};

const library = load();
let state: InflateState | undefined;
let statesMade = 0;

export const isZlibSyncLoaded = (): boolean => library !== undefined;

/**
 * Raw deflate data that ends in a full flush → its `size` plain bytes (a copy); undefined if the library is not there or the bytes are
 * not what they should be.
 */
export const inflateFlushed = (flushed: Uint8Array, size: number): Buffer | undefined => {
  if (!library || flushed.length > COMPRESSED_SIZE_MAX || size >= OUTPUT_SIZE) return undefined;
  if (!state) {
    if (statesMade === STATES_MAX) return undefined;
    statesMade += 1;
    state = new library.Inflate({ windowBits: -15, chunkSize: OUTPUT_SIZE });
  }
  state.push(flushed, library.Z_SYNC_FLUSH);
  const plain = state.err === 0 ? state.result : null;
  if (plain !== null && typeof plain !== 'string' && plain.length === size) return plain as Buffer;
  state = undefined;
  return undefined;
};

/** After output that failed a checksum: the state's window is not to be trusted. */
export const dropInflateState = (): void => {
  state = undefined;
};
