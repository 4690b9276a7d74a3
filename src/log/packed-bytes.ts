/** The least that is asked of the allocator. */
const PACK_BYTES = 4096;
/** What is longer has a buffer of its own. */
const PACKED_MAX = PACK_BYTES >> 2;

let pack = new Uint8Array(PACK_BYTES);
let used = 0;

/**
 * A copy that shares its buffer with others, for short bytes that live long and are many: with a buffer of its own each is three objects for V8 to mark,
 * and in Node's pool each may keep 8 KiB of what is long gone. What lies here keeps others like it.
 */
export const packed = (bytes: Uint8Array): Uint8Array => {
  if (bytes.length > PACKED_MAX) return new Uint8Array(bytes);
  if (used + bytes.length > PACK_BYTES) {
    pack = new Uint8Array(PACK_BYTES);
    used = 0;
  }
  const copy = pack.subarray(used, used + bytes.length);
  copy.set(bytes);
  used += bytes.length;
  return copy;
};
