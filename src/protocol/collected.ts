/** Calls back some time after an object was collected: `COLLECTED`, or a test. */
export interface CollectionWatch {
  /** The callback lives as long as the object: if it holds the object, by whatever way, both stay for ever. */
  register(object: object, callback: () => void): void;
}

/**
 * The only registry of the process, whoever needs one. With V8 11 a registry that is collected itself, between the collection that it was to hear
 * of and its turn, leaves its task without work, and no registry of the process is ever called again. One for each node would end so
 * where nodes come and go in one process: their memory would not be used again, nor the files of their logs let go of.
 */
export const COLLECTED: CollectionWatch = new FinalizationRegistry<() => void>((callback) => callback());
