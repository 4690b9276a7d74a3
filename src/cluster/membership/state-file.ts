import { readFile } from 'node:fs/promises';
import { replaceFile } from '../../protocol/durable-files.ts';
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

/** Durable when it resolves. */
export const saveSnapshot = (file: string, snapshot: StoreSnapshot): Promise<void> =>
  replaceFile(file, `${JSON.stringify(snapshot)}\n`);
