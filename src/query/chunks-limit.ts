import { RefusedError } from '../protocol/refusal.ts';

/** @throws RefusedError INVALID_QUERY with Loki's text; `chunksMax` 0: no limit */
export const checkChunkCount = (count: number, chunksMax: number): void => {
  if (chunksMax <= 0 || count <= chunksMax) return;
  throw new RefusedError({
    code: 'INVALID_QUERY',
    text:
      `the query hit the max number of chunks limit (limit: ${chunksMax} chunks, matched: ${count} chunks); ` +
      'consider adding more specific stream selectors or reducing the query time range',
  });
};
