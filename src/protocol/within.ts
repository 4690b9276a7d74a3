import type { Clock } from './clock.ts';

/** @throws what `late` gives if `work` takes longer; it is not ended, and what becomes of it then is nobody's business */
export const within = <Result>(
  clock: Clock,
  timeoutMs: number,
  work: Promise<Result>,
  late: () => Error,
): Promise<Result> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () => reject(late()));
    work.then(resolve, reject).finally(cancel);
  });
