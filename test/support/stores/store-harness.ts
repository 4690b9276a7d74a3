/** What a contract suite needs of a kind of store: places that outlive a store opened on them. */
export interface StoreHarness<Store> {
  /** Opens the place, new at the first call; later calls come after the earlier store was closed. */
  open(): Promise<Store>;
  /** Removes the place. */
  remove(): Promise<void>;
}
