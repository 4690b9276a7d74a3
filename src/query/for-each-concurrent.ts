/** Runs `visit` over items, at most `limit` at a time, in order of start. The first failure ends it; what runs then is not waited for. */
export const forEachConcurrent = async <Item>(
  items: readonly Item[],
  limit: number,
  visit: (item: Item) => Promise<void>,
): Promise<void> => {
  let next = 0;
  let isFailed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !isFailed) {
      const item = items[next]!;
      next += 1;
      try {
        await visit(item);
      } catch (error) {
        isFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
};
