/**
 * What is kept of a segment's commit, as text:
 *
 *   chunk key 00 | ms since 1970 in decimal | `s` if another disk has or had the segment        (earlier versions: the key alone)
 */
import { streamOfChunkKey } from './chunk-key.ts';
import type { SegmentCommit } from './index-store.ts';

interface CommitValue {
  readonly chunkKey: string;
  readonly committedMs: number;
  readonly isShared: boolean;
}

const SHARED = 's';

export const formatCommit = ({ chunkKey, committedMs, isShared }: CommitValue): string =>
  `${chunkKey}\0${committedMs}${isShared ? SHARED : ''}`;

export const parseCommit = (value: string): CommitValue & Pick<SegmentCommit, 'stream'> => {
  const chunkKey = chunkKeyOfCommit(value);
  const note = value.slice(chunkKey.length + 1);
  const isShared = note.endsWith(SHARED);
  const committedMs = Number(isShared ? note.slice(0, -SHARED.length) : note);
  return { stream: streamOfChunkKey(chunkKey), chunkKey, committedMs, isShared };
};

export function chunkKeyOfCommit(value: string): string;
export function chunkKeyOfCommit(value: string | undefined): string | undefined;
export function chunkKeyOfCommit(value: string | undefined): string | undefined {
  const end = value?.indexOf('\0') ?? -1;
  return end < 0 ? value : value?.slice(0, end);
}
