import type { Clock } from '../protocol/clock.ts';
import { RefusedError } from '../protocol/refusal.ts';

/**
 * All answers, once each part has answered or failed: a part that still runs may borrow what its asker lets go of after a failure.
 * @throws the first failure; but DEADLINE_EXCEEDED before any other, since that part may still run
 */
export const settled = async <Answer>(parts: readonly Promise<Answer>[]): Promise<readonly Answer[]> => {
  const outcomes = await Promise.allSettled(parts);
  const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [{ reason: outcome.reason }] : []));
  const failure = failures.find(({ reason }) => isUnanswered(reason)) ?? failures[0];
  if (failure) throw failure.reason;
  return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
};

const isUnanswered = (error: unknown): boolean =>
  error instanceof RefusedError && error.refusal.code === 'DEADLINE_EXCEEDED';

/**
 * One question, one typed answer, one deadline. Stands in for nact's `query`, whose random reply ids can clash so that one asker gets
 * the other's answer; and a message to a stopped actor vanishes, which only a deadline notices.
 * @throws RefusedError DEADLINE_EXCEEDED
 */
export const ask = async <Answer>(
  clock: Clock,
  timeoutMs: number,
  send: (reply: (answer: Answer) => void) => void,
): Promise<Answer> => {
  const [answer] = await gather<Answer>(clock, timeoutMs, 1, send);
  return answer as Answer;
};

/**
 * Several questions, their answers in order of arrival. `send` hands `reply` to `count` actors, in its own time; each answers once.
 * Answers after the deadline are ignored.
 * @throws RefusedError DEADLINE_EXCEEDED if one is missing
 */
export const gather = <Answer>(
  clock: Clock,
  timeoutMs: number,
  count: number,
  send: (reply: (answer: Answer) => void) => void | Promise<void>,
): Promise<readonly Answer[]> =>
  new Promise((resolve, reject) => {
    const answers: Answer[] = [];
    if (count === 0) {
      resolve(answers);
      return;
    }
    const cancelDeadline = clock.after(timeoutMs, () => {
      const text = `${count - answers.length} of ${count} answers did not come within ${timeoutMs} ms`;
      reject(new RefusedError({ code: 'DEADLINE_EXCEEDED', text }));
    });
    const fail = (error: unknown) => {
      cancelDeadline();
      reject(error);
    };
    const reply = (answer: Answer) => {
      if (answers.length === count) return;
      answers.push(answer);
      if (answers.length < count) return;
      cancelDeadline();
      resolve(answers);
    };
    send(reply)?.catch(fail);
  });
