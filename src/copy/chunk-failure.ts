import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** Why a single chunk cannot be copied or compared, though both sides are well; undefined for every other error. */
export const chunkFailure = (error: unknown): string | undefined => {
  if (error instanceof CorruptChunkError) return error.message;
  if (!(error instanceof RefusedError)) return undefined;
  // A key or a row that the store cannot have; an object of that key with other bytes.
  const { code, text } = error.refusal;
  return code === 'BAD_REQUEST' || code === 'INTERNAL' ? text : undefined;
};
