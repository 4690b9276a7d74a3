import { expect } from 'chai';
import type { Answer, Case, loadKit } from './conformance-kit.ts';

type Kit = Awaited<ReturnType<typeof loadKit>>;

/** Asks all cases that are served. @returns what is wrong, by id */
export const failedQueries = async (kit: Kit, url: string, tenant: string): Promise<ReadonlyMap<string, string>> => {
  const { answers } = kit.readExpected();
  const asked: readonly Case[] = kit.readCases();
  const got = await kit.askAll(url, asked, tenant);
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
