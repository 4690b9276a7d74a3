/** Bytes that are not what the chunk format says: flipped, cut short, lying about a length, or larger than allowed. */
export class CorruptChunkError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'CorruptChunkError';
  }
}
