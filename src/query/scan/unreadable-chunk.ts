import { RefusedError } from '../../protocol/refusal.ts';

/** A chunk that cannot be read fails the query: an answer is never silently short. */
export const unreadableChunk = (key: string, why: string, cause?: unknown): RefusedError =>
  new RefusedError({ code: 'INTERNAL', text: `chunk ${key} cannot be read: ${why}` }, { cause });

export const missingChunk = (key: string, cause?: unknown): RefusedError =>
  unreadableChunk(key, 'the index names it and the store does not have it', cause);
