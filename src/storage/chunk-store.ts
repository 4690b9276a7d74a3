/** Bytes [start, end) of an object, or its last bytes if `start` is negative. */
export type ObjectRange =
  | { readonly start: number; readonly end: number }
  | { readonly start: number; readonly end?: undefined };

/** A part of an object: the asked range as far as the object reaches. */
export interface ObjectPart {
  /** The caller's (the ArrayBuffer may be transferred). */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Where they begin, and how large the object is. */
  readonly start: number;
  readonly size: number;
  /** The same for parts of one object: another one under its key has another. */
  readonly version: string;
}

/** What a store knows of an object without its bytes. */
export interface ObjectState {
  /** In bytes. */
  readonly size: number;
  /** When it was put, by the store's clock; put again, an object may keep its time or not. */
  readonly storedMs: number;
}

/** Where flushed chunks last. Keys are Loki's object keys; objects never change once written. */
export interface ChunkStore {
  /**
   * Resolves once the object is durable (fsynced file and folder, or the bucket's answer). Writing the same key again is fine. The bytes must stay as they are
   * until then.
   * @throws RefusedError STORAGE_UNAVAILABLE; OVERLOADED if too much waits; BAD_REQUEST for a key that the store cannot have
   */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * The whole object; undefined if it is not there. The buffer is the caller's (its ArrayBuffer may be transferred).
   * @throws RefusedError STORAGE_UNAVAILABLE
   */
  get(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /**
   * A part of it; undefined if it is not there, if it has no byte in the range, or if it is not the one of that `version` any more. Nothing but their own
   * checksums tells whether the bytes are those that were put: whoever finds that they are not reads the whole.
   * @throws RefusedError STORAGE_UNAVAILABLE
   */
  getRange(key: string, range: ObjectRange, version?: string): Promise<ObjectPart | undefined>;
  /**
   * Of a store whose objects are files of this machine: where this one lies if it is there, for a thread that reads it by itself. Nothing is looked at.
   * @throws RefusedError BAD_REQUEST for a key that the store cannot have
   */
  fileOf?(key: string): string;
  /** undefined if it is not there. @throws RefusedError STORAGE_UNAVAILABLE */
  state(key: string): Promise<ObjectState | undefined>;
  /** True if it was there. */
  delete(key: string): Promise<boolean>;
  list(prefix: string): AsyncIterable<string>;
  close(): Promise<void>;
}

/** What queries need of it. */
export type ChunkReader = Pick<ChunkStore, 'get' | 'getRange' | 'fileOf'>;

/** The range in an object of this size; undefined if it has no byte in it. */
export const rangeWithin = (
  { start, end }: ObjectRange,
  size: number,
): { readonly start: number; readonly end: number } | undefined => {
  const first = start < 0 ? Math.max(0, size + start) : start;
  const last = Math.min(size, end ?? size);
  return first < last ? { start: first, end: last } : undefined;
};
