/** How much of a chunk object is read first, when not all of it is wanted. */

/** Chosen: labels are a few hundred bytes; symbols of structured metadata may take more, which are read on. */
export const HEAD_SIZE = 4 << 10;

/** Metas of a chunk of the default size have 2 KB, its skip section up to 80 KB. */
export const tailSizeOf = (wantsSkipFilters: boolean): number => (wantsSkipFilters ? 96 << 10 : 16 << 10);

/** What is read may show that more is missing, each time something else: head, symbols and metas, skip section. */
export const ROUNDS_MAX = 4;
