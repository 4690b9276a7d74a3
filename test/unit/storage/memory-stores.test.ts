import { chunkStoreContract } from '../../support/stores/chunk-store-contract.ts';
import { indexStoreContract } from '../../support/stores/index-store-contract.ts';
import { MemoryChunkStore } from '../../support/stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

describe('the memory chunk store', () => {
  chunkStoreContract(async () => {
    const store = new MemoryChunkStore();
    return { open: async () => store, remove: async () => {} };
  });
});

describe('the memory index store', () => {
  indexStoreContract(async () => {
    const store = new MemoryIndexStore();
    return { open: async () => store, remove: async () => {} };
  });
});
