import type { Clock } from '../protocol/clock.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { CANCELLED, QUERY_DEADLINE } from '../query/query-end.ts';
import type { QueryGate } from './query-gate.ts';

export interface TurnDeps {
  readonly clock: Clock;
  readonly gate: QueryGate;
}

/**
 * Work that counts as a query of its tenant: it waits for its turn, and ends at its deadline or when nobody waits for it any more.
 * @param work calls `check` often, which throws then; what it has begun is left to end by itself
 * @throws RefusedError OVERLOADED, DEADLINE_EXCEEDED, CANCELLED
 */
export const inTurn = async <Answer>(
  { clock, gate }: TurnDeps,
  { tenant, timeoutMs }: { readonly tenant: string; readonly timeoutMs: number },
  signal: AbortSignal,
  work: (check: () => void) => Promise<Answer>,
): Promise<Answer> => {
  let refusal: Refusal | undefined;
  let leave = (): void => undefined;
  let end = (_refusal: Refusal): void => undefined;
  const onAbort = (): void => end(CANCELLED);
  const ended = new Promise<never>((_, reject) => {
    end = (why) => {
      refusal ??= why;
      reject(new RefusedError(refusal));
    };
  });
  ended.catch(() => undefined);
  const cancelDeadline = timeoutMs > 0 ? clock.after(timeoutMs, () => end(QUERY_DEADLINE)) : () => undefined;
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  const check = (): void => {
    if (refusal) throw new RefusedError(refusal);
  };
  try {
    const admitted = new Promise<void>((resolve) => {
      leave = gate.enter(tenant, resolve);
    });
    await Promise.race([admitted, ended]);
    return await Promise.race([work(check), ended]);
  } finally {
    refusal ??= CANCELLED;
    cancelDeadline();
    signal.removeEventListener('abort', onAbort);
    leave();
  }
};
