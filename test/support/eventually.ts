/** Looks once a millisecond until `probe` says yes. @throws past the deadline, with what `state` tells */
export const eventually = async (
  what: string,
  probe: () => boolean | Promise<boolean>,
  state: () => unknown = () => undefined,
  deadlineMs = 15_000,
): Promise<void> => {
  const until = performance.now() + deadlineMs;
  while (!(await probe())) {
    if (performance.now() > until) throw new Error(`not within ${deadlineMs} ms: ${what}; ${JSON.stringify(state())}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};
