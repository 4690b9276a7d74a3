import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { MembershipError, textOf } from './membership-error.ts';
import type { StoreSnapshot } from './store-state.ts';

/**
 * What a process that serves the embedded store left: undefined where there is no file.
 * @throws MembershipError UNAVAILABLE if it holds something else: started anew, revisions would be given out twice
 */
export const loadSnapshot = async (file: string): Promise<StoreSnapshot | undefined> => {
  try {
    const snapshot = JSON.parse(await readFile(file, 'utf8')) as Partial<StoreSnapshot>;
    if (!Number.isSafeInteger(snapshot.revision) || !Array.isArray(snapshot.entries)) throw new Error('no revision');
    return snapshot as StoreSnapshot;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new MembershipError({ code: 'UNAVAILABLE', text: `cannot use ${file}: ${textOf(error)}` }, { cause: error });
  }
};

/** Replaces the file, whole or not at all; durable when it resolves. */
export const saveSnapshot = async (file: string, snapshot: StoreSnapshot): Promise<void> => {
  const temporary = `${file}.new`;
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(`${JSON.stringify(snapshot)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  const folder = await open(path.dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};
