import { type FileHandle, open, rename } from 'node:fs/promises';
import path from 'node:path';

/** Closes the file whatever happens. */
export const withFile = async <T>(
  file: string,
  flags: string,
  work: (handle: FileHandle) => Promise<T>,
): Promise<T> => {
  const handle = await open(file, flags);
  try {
    return await work(handle);
  } finally {
    await handle.close();
  }
};

/** The names in it are durable when it resolves. */
export const syncFolder = (folder: string): Promise<void> => withFile(folder, 'r', (handle) => handle.sync());

/** Durable when it resolves; the file is the old one or the new one whatever happens. */
export const replaceFile = async (file: string, text: string): Promise<void> => {
  const temporary = `${file}.new`;
  await withFile(temporary, 'w', async (handle) => {
    await handle.writeFile(text);
    await handle.sync();
  });
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
};
