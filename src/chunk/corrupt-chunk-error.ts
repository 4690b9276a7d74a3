/** Bytes that are not what the chunk format says: flipped, cut short, lying about a length, or larger than allowed. */
export class CorruptChunkError extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(what, options);
    this.name = 'CorruptChunkError';
  }
}

/** Bytes whose checksum is right and whose version or encoding is not known: a later program may read them. */
export class UnknownChunkFormatError extends CorruptChunkError {}
