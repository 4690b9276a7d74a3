import { ChunkKeyReader } from '../../../src/storage/chunk-key.ts';
import { ChunkRefs } from '../../../src/storage/chunk-refs.ts';

/** As a reader finds them, each in another row. */
export const chunkRefsOf = async (tenant: string, keys: Iterable<string>): Promise<ChunkRefs> => {
  const refs = new ChunkRefs(tenant);
  const reader = new ChunkKeyReader();
  for (const key of keys) {
    const bytes = Buffer.from(key);
    if (!reader.read(bytes, 0, bytes.length)) throw new Error(`no chunk key: ${key}`);
    refs.add(reader, {});
  }
  await refs.settle();
  return refs;
};
