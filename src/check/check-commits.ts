import { RefusedError } from '../protocol/refusal.ts';
import { parseChunkKey } from '../storage/chunk-key.ts';
import type { StreamSegment } from '../storage/index-store.ts';
import type { StoreCheck } from './store-check.ts';

/** Commits whose rows were never all written. Only Bigtable can have any. */
export const checkCommits = async (check: StoreCheck): Promise<void> => {
  const { side, options, deps, figures } = check;
  let last = '';
  for await (const { stream, segment, chunkKey, committedMs, isUnfinished } of side.index.commits()) {
    if (deps.signal.aborted) return;
    const ref = parseChunkKey(chunkKey);
    // Segments of one chunk follow each other.
    if (!isUnfinished || chunkKey === last || !ref || !check.inScope(ref)) continue;
    last = chunkKey;
    if (!check.isOld(committedMs)) {
      figures.young += 1;
      continue;
    }
    const isMended = options.fixes && (await isFinished(check, { stream, segment }));
    const why = `the commit of segment ${segment} was cut before all rows were written`;
    await check.found({ kind: 'unsettled-commit', chunk: chunkKey, why, isMended });
  }
};

/** Whoever asks for a commit finishes it. False if what is left of it cannot be read. */
const isFinished = async ({ side }: StoreCheck, segment: StreamSegment): Promise<boolean> => {
  try {
    return (await side.index.committed(segment)) !== undefined;
  } catch (error) {
    if (error instanceof RefusedError && error.refusal.code === 'INTERNAL') return false;
    throw error;
  }
};
