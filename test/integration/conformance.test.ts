/** A served node and what real Loki answered: the kit of test/conformance, run as its README says. */
import { expect } from 'chai';
import { expectOnly, failedQueries } from '../support/conformance-check.ts';
import { PUSH_EXCEPTIONS, SERVED_EXCEPTIONS } from '../support/conformance-exceptions.ts';
import {
  type Answer,
  KIT_DATA,
  kitSettings,
  loadKit,
  type PushCase,
  readPushCases,
} from '../support/conformance-kit.ts';
import { TestServer } from './http/test-server.ts';

const TENANT = 'conformance';

describe('a served node and the recorded answers of Loki 3.7.6', function () {
  this.timeout(600_000);
  let server: TestServer;
  let kit: Awaited<ReturnType<typeof loadKit>>;
  let url: string;

  before(async () => {
    server = await TestServer.start(kitSettings());
    url = `http://${server.http}`;
    kit = await loadKit();
  });
  after(() => server.stop());

  const problemsOfPush = async (one: PushCase): Promise<readonly string[]> => {
    const { answers, stored } = await kit.runPushCase(url, one, TENANT);
    const answered = one.expect.answers.flatMap(({ status, text, ownWords }, index) => {
      const got = answers[index];
      const isEqual = got?.status === status && (ownWords || !text || got.text === text);
      return isEqual ? [] : [`request ${index}: ${status} ${text}\n    got ${got?.status} ${got?.text}`];
    });
    return [...answered, ...one.expect.stored.flatMap((want, index) => kit.differences(want, stored[index] as Answer))];
  };

  it('takes the kit’s data', async () => {
    expect((await kit.load(url, KIT_DATA, TENANT)).entries).to.be.above(12_000);
  });

  it('answers as Loki from memory', async () => {
    expectOnly(await failedQueries(kit, url, TENANT), SERVED_EXCEPTIONS);
  });

  it('takes pushes, and refuses them, as Loki', async () => {
    const failed = new Map<string, string>();
    for (const one of readPushCases()) {
      const problems = await problemsOfPush(one);
      if (problems.length > 0) failed.set(one.id, [one.about, ...problems].join('\n    '));
    }
    expectOnly(failed, PUSH_EXCEPTIONS);
  });

  it('answers as Loki from the store', async () => {
    expect((await server.ask('/flush', { method: 'POST' })).status).to.equal(204);
    await server.restart();
    url = `http://${server.http}`;
    expectOnly(await failedQueries(kit, url, TENANT), SERVED_EXCEPTIONS);
  });
});
