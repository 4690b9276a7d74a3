import type { RootDatabase } from 'lmdb';

/** What is written are bytes; what is read is latin1 text: one call a key, and neither a copy nor a Buffer (measured: half the time). */
export type IndexDatabase = RootDatabase<Buffer | string, Buffer | string>;

const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

export const KEY_CODEC = {
  writeKey(key: Buffer, target: Uint8Array, start: number): number {
    target.set(key, start);
    return start + key.length;
  },
  readKey: (source: Uint8Array, start: number, end: number): string => latin1Slice.call(source, start, end),
};

export const VALUE_CODEC = {
  encode: (value: Buffer): Buffer => value,
  /** LMDB reads into a buffer of its own and sets its length; scans give the size as well, get() gives its options there. */
  decode: (source: Uint8Array, size: unknown): string =>
    latin1Slice.call(source, 0, typeof size === 'number' ? size : source.length),
};
