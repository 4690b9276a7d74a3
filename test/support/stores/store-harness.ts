/** What a contract suite needs of a kind of store: places that outlive a store opened on them. */
export interface StoreHarness<Store> {
  /** Opens the place, new at the first call; later calls come after the earlier store was closed. */
  open(): Promise<Store>;
  /**
   * A row that gets new places while it is read loses others from what is read: a fault of Google's Bigtable emulator, whose copy of a row shares the list of columns
   * with the row itself.
   */
  readonly losesPlacesWhileRead?: true;
  /** Removes the place. */
  remove(): Promise<void>;
}
