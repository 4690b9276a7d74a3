import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile } from './protocol/durable-files.ts';
import { RefusedError } from './protocol/refusal.ts';

/** Who writes to a data folder. */
export interface NodeIdentity {
  /** Of the folder, for its life: 32 hex digits. Its segments have it in their names, so that they are unique over all nodes. */
  readonly uid: string;
  /** Of this process: above those of all before it, whatever the clock says. */
  readonly incarnation: number;
}

const FILE = 'identity.json';
const UID_SIZE = 16;

/** 32 hex digits that nobody else has. */
export const newUid = (): string => randomBytes(UID_SIZE).toString('hex');

/**
 * Reads the folder's identity, or makes one, and counts this process in. Durable when it resolves.
 * @throws RefusedError STORAGE_UNAVAILABLE if the file holds something else: made anew, segments of different processes could get the same name
 */
export const nextIdentity = async (folder: string, nowMs: number): Promise<NodeIdentity> => {
  const file = path.join(folder, FILE);
  const last = await lastIdentity(file);
  const uid = last?.uid ?? newUid();
  const identity = { uid, incarnation: Math.max(nowMs, (last?.incarnation ?? 0) + 1) };
  await replaceFile(file, `${JSON.stringify(identity)}\n`);
  return identity;
};

const lastIdentity = async (file: string): Promise<NodeIdentity | undefined> => {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unusable(file, error);
  }
  try {
    const { uid, incarnation } = JSON.parse(text) as Partial<NodeIdentity>;
    if (typeof uid === 'string' && /^[0-9a-f]{32}$/.test(uid) && Number.isSafeInteger(incarnation)) {
      return { uid, incarnation: incarnation as number };
    }
  } catch (error) {
    throw unusable(file, error);
  }
  throw unusable(file, new Error('it has no uid and incarnation'));
};

const unusable = (file: string, cause: unknown): RefusedError => {
  const text = `cannot use ${file}: ${(cause as Error).message}`;
  return new RefusedError({ code: 'STORAGE_UNAVAILABLE', text }, { cause });
};
