/** Runs `visit` over the items, at most `limit` at a time, in order of start. The first failure ends it; what runs then is not waited for. */
export const forEachConcurrent = async <Item>(
  items: Iterable<Item>,
  limit: number,
  visit: (item: Item) => Promise<void>,
): Promise<void> => {
  const iterator = items[Symbol.iterator]();
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    for (let next = iterator.next(); !next.done && !hasFailed; next = iterator.next()) {
      try {
        await visit(next.value);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: limit }, lane));
};
