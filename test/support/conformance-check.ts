import { expect } from 'chai';
import type { Answer, Case, loadKit } from './conformance-kit.ts';

type Kit = Awaited<ReturnType<typeof loadKit>>;

/** Asks all cases that are served. @returns what is wrong, by id */
export const failedQueries = async (kit: Kit, url: string, tenant: string): Promise<ReadonlyMap<string, string>> => {
  const asked = kit.readCases();
  return wrongAnswers(kit, asked, await kit.askAll(url, asked, tenant));
};

/**
 * Asks `count` cases, or all, spread over the whole kit and over the nodes, `concurrency` of them at a time.
 * @returns what is wrong, by id, and how many were asked
 */
export const failedInParallel = async (
  kit: Kit,
  urls: readonly string[],
  tenant: string,
  { count = Number.POSITIVE_INFINITY, concurrency }: { readonly count?: number; readonly concurrency: number },
): Promise<{ readonly failed: ReadonlyMap<string, string>; readonly asked: ReadonlySet<string> }> => {
  const all = kit.readCases();
  const every = Math.max(1, all.length / count);
  const asked = all.filter((_, index) => Math.floor(index / every) !== Math.floor((index - 1) / every));
  const failed = await Promise.all(
    urls.map(async (url, node) => {
      const share = asked.filter((_, index) => index % urls.length === node);
      const answers = await kit.askAll(url, share, tenant, { concurrency: Math.ceil(concurrency / urls.length) });
      return [...wrongAnswers(kit, share, answers)];
    }),
  );
  return { failed: new Map(failed.flat()), asked: new Set(asked.map(({ id }) => id)) };
};

const wrongAnswers = (kit: Kit, asked: readonly Case[], got: readonly Answer[]): ReadonlyMap<string, string> => {
  const { answers } = kit.readExpected();
  const failed = new Map<string, string>();
  for (const [index, { id, query }] of asked.entries()) {
    const problems = problemsOf(kit, answers[id] as Answer, got[index] as Answer);
    if (problems.length > 0) failed.set(id, [query, ...problems].join('\n    '));
  }
  return failed;
};

const problemsOf = (kit: Kit, expected: Answer, actual: Answer): readonly string[] => {
  const found = kit.differences(expected, actual);
  const isOtherText = expected.t === 'error' && expected.text !== undefined && expected.text !== actual.text;
  return found.length > 0 || !isOtherText ? found : [`text ${expected.text}\n    got  ${actual.text}`];
};

/** The failures that no exception names, and the exceptions that do not fail. */
export const expectOnly = (failed: ReadonlyMap<string, string>, exceptions: ReadonlyMap<string, string>): void => {
  const unexpected = [...failed].filter(([id]) => !exceptions.has(id)).map(([id, text]) => `${id} ${text}`);
  expect(unexpected.join('\n')).to.equal('');
  expect([...failed.keys()].sort()).to.deep.equal([...exceptions.keys()].sort());
};
