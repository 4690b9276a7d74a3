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
  /** True if it was there. */
  delete(key: string): Promise<boolean>;
  list(prefix: string): AsyncIterable<string>;
  close(): Promise<void>;
}
