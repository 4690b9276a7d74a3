/** What is left to write of a commit in Bigtable, as its cell has it: `chunk key 00 layout 00 entries as JSON`. */
import { RefusedError } from '../protocol/refusal.ts';
import { BIGTABLE_LAYOUTS, type BigtableLayout } from './bigtable-row-key.ts';
import type { IndexEntry } from './index-store.ts';

/** Whoever finds it may write rows in another layout. */
export interface Redo {
  readonly layout: BigtableLayout;
  readonly entries: readonly IndexEntry[];
}

export const formatRedo = (chunkKey: string, { layout, entries }: Redo): string =>
  `${chunkKey}\0${layout}\0${JSON.stringify(entries)}`;

export const chunkKeyOfRedo = (value: string): string => value.split('\0', 1)[0] ?? '';

/** @throws RefusedError INTERNAL */
export const parseRedo = (value: string): Redo => {
  const redo = readableRedo(value);
  if (redo instanceof RefusedError) throw redo;
  return redo;
};

/** A later version may have written it. */
export const readableRedo = (value: string): Redo | RefusedError => {
  const [chunkKey = '', layoutName = ''] = value.split('\0', 2);
  const text = `what is left to write of the commit of ${chunkKey} cannot be read`;
  const layout = BIGTABLE_LAYOUTS.find((known) => known === layoutName);
  if (!layout) return new RefusedError({ code: 'INTERNAL', text });
  try {
    return { layout, entries: JSON.parse(value.slice(chunkKey.length + layout.length + 2)) };
  } catch (cause) {
    return new RefusedError({ code: 'INTERNAL', text }, { cause });
  }
};
