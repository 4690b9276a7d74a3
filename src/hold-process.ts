/** Node takes no longer delay. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Keeps the process alive until the answer is called: timers of the system's clock do not, and between two requests there may be no connection. */
export const holdProcess = (): (() => void) => {
  const timer = setInterval(() => undefined, TIMER_MS_MAX);
  return () => clearInterval(timer);
};
