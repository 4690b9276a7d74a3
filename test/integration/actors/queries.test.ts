import { expect } from 'chai';
import { dispatch } from 'nact';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { QueryEvent } from '../../../src/query/query-messages.ts';
import { ManualClock } from '../../support/clock.ts';
import { logRequest, startTestNode, type TestNode } from '../../support/cluster.ts';
import { entryAt, pushOf, T0_MS, T0_NS } from '../../support/entries.ts';

/** Gathers a query actor's events; `next(n)` resolves when n are there. */
const reader = () => {
  const events: QueryEvent[] = [];
  let wake: () => void = () => undefined;
  return {
    events,
    read: (event: QueryEvent) => {
      events.push(event);
      wake();
    },
    until: async (isThere: () => boolean) => {
      while (!isThere()) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
};

const pause = (ms = 20) => new Promise((resolve) => setTimeout(resolve, ms));
const isLast = ({ type }: QueryEvent) => type === 'done' || type === 'failed';

describe('query actors', function () {
  this.timeout(60_000);
  let running: TestNode;

  const start = async (...args: Parameters<typeof startTestNode>) => {
    running = await startTestNode(...args);
    const entries = Array.from({ length: 5000 }, (_, index) => entryAt(index, `line ${index}`));
    await running.node.services.push('tenant', pushOf({ '{app="web"}': entries }));
    return running.node;
  };

  afterEach(async () => {
    await running.node.stop({ deadlineMs: 5000 }).catch(() => undefined);
  });

  it('send entries against credits only, then done, once', async () => {
    const node = await start();
    // More than fits into one event.
    const more = Array.from({ length: 20_000 }, (_, index) => entryAt(index, `more ${index}`));
    await node.services.push('tenant', pushOf({ '{app="web"}': more }));
    const { events, read, until } = reader();
    const query = node.spawnQuery(logRequest('{app="web"}'), read);
    await pause();
    expect(events, 'no credit, no entries').to.deep.equal([]);
    dispatch(query, { type: 'pull', credits: 1 });
    await until(() => events.length === 1);
    await pause();
    expect(events.map(({ type }) => type)).to.deep.equal(['entries']);
    dispatch(query, { type: 'pull', credits: 1000 });
    await until(() => events.some(isLast));
    dispatch(query, { type: 'cancel' });
    await pause();
    expect(events.filter(isLast).map(({ type }) => type)).to.deep.equal(['done']);
    const found = events.flatMap((event) => (event.type === 'entries' ? event.streams : []));
    expect(found.reduce((count, { entries }) => count + entries.length, 0)).to.equal(25_000);
  });

  it('end with CANCELLED when cancelled, once', async () => {
    const node = await start();
    const { events, read, until } = reader();
    const query = node.spawnQuery(logRequest('{app="web"}'), read);
    dispatch(query, { type: 'cancel' });
    dispatch(query, { type: 'pull', credits: 1000 });
    await until(() => events.some(isLast));
    await pause();
    expect(events).to.deep.equal([
      { type: 'failed', refusal: { code: 'CANCELLED', text: 'the request was cancelled by the client' } },
    ]);
  });

  it('fail with a typed refusal when the query does not parse', async () => {
    const node = await start();
    const { events, read, until } = reader();
    node.spawnQuery(logRequest('{app='), read);
    await until(() => events.some(isLast));
    expect(events[0]).to.have.nested.property('refusal.code', 'INVALID_QUERY');
  });

  it('fail at their deadline when nobody pulls', async () => {
    const clock = new ManualClock(T0_MS);
    const node = await start({}, { clock });
    const { events, read, until } = reader();
    const limits = { timeoutMs: 1000, bytesReadMax: 0, seriesMax: 0 };
    node.spawnQuery(logRequest('{app="web"}', { limits }), read);
    await pause();
    clock.advance(1000);
    await until(() => events.some(isLast));
    expect(events[0]).to.have.nested.property('refusal.code', 'DEADLINE_EXCEEDED');
  });

  it('of one tenant run so many at a time, so many wait, one more is refused', async () => {
    const node = await start({ querier: { max_concurrent: 1, max_outstanding_per_tenant: 1 } });
    const [first, second, third] = [reader(), reader(), reader()];
    const running1 = node.spawnQuery(logRequest('{app="web"}'), first.read);
    const waiting = node.spawnQuery(logRequest('{app="web"}'), second.read);
    node.spawnQuery(logRequest('{app="web"}'), third.read);
    dispatch(waiting, { type: 'pull', credits: 1000 });
    await third.until(() => third.events.length > 0);
    expect(third.events[0]).to.deep.equal({
      type: 'failed',
      refusal: { code: 'OVERLOADED', text: 'too many outstanding requests', retryAfterMs: 1000 },
    });
    await pause();
    expect(second.events, 'its turn has not come').to.deep.equal([]);
    dispatch(running1, { type: 'pull', credits: 1000 });
    await first.until(() => first.events.some(isLast));
    await second.until(() => second.events.some(isLast));
    expect(second.events.at(-1)?.type).to.equal('done');
  });

  it('share turns, deadlines and the limit of chunks with questions for the keys of chunks', async () => {
    const clock = new ManualClock(T0_MS);
    const node = await start({ querier: { max_concurrent: 1, max_outstanding_per_tenant: 1 } }, { clock });
    await node.services.push('tenant', pushOf({ '{app="db"}': [entryAt(0, 'other')] }));
    await node.services.flush();
    const matchers = [{ name: 'app', op: '=~' as const, value: '.+' }];
    const range = { startNs: T0_NS, endNs: T0_NS + 60_000_000_000n };
    const ask = async (chunksMax: number, { signal } = new AbortController()) =>
      await node.services
        .chunkKeys({ tenant: 'tenant', matchers, range, timeoutMs: 1000, chunksMax }, signal)
        .catch((error: RefusedError) => error.refusal.code);
    const keys = await ask(0);
    expect(keys).to.be.an('array').with.lengthOf.above(1);
    expect(await ask(keys.length)).to.deep.equal(keys);
    expect(await ask(keys.length - 1)).to.equal('INVALID_QUERY');
    const { events, read, until } = reader();
    const query = node.spawnQuery(logRequest('{app="web"}'), read);
    const gone = new AbortController();
    const left = ask(0, gone);
    expect(await ask(0)).to.equal('OVERLOADED');
    gone.abort();
    expect(await left).to.equal('CANCELLED');
    const late = ask(0);
    clock.advance(1000);
    expect(await late).to.equal('DEADLINE_EXCEEDED');
    const waiting = ask(0);
    dispatch(query, { type: 'cancel' });
    await until(() => events.some(isLast));
    expect(await waiting).to.deep.equal(keys);
  });

  it('stop when the reader of their events leaves the loop', async () => {
    const node = await start({ querier: { max_concurrent: 1, max_outstanding_per_tenant: 0 } });
    for await (const event of node.services.query(logRequest('{app="web"}')).events) {
      expect(event.type).to.equal('entries');
      break;
    }
    // Its place is free again: at the latest when the test's time is over.
    const { signal } = new AbortController();
    const again = () => node.services.queryAll(logRequest('{app="web"}', { limit: 10 }), signal).catch(() => undefined);
    let answer = await again();
    for (; !answer; answer = await again()) await pause();
    expect(answer.type).to.equal('streams');
  });

  it('answer metric queries as series', async () => {
    const node = await start();
    const request = logRequest('sum by (app) (count_over_time({app="web"}[1m]))', {
      startNs: T0_NS + 60_000_000_000n,
      endNs: T0_NS + 60_000_000_000n,
      isInstant: true,
    });
    const answer = await node.services.queryAll(request, new AbortController().signal);
    if (answer.type !== 'vector') throw new Error(`expected a vector, got ${answer.type}`);
    // (t − 1m, t]: the entry exactly a minute ago is out.
    expect(answer.series.map(({ labels, values }) => [labels, values])).to.deep.equal([[['app', 'web'], [4999]]]);
  });

  it('throw from queryAll what they fail with, and when the signal fires', async () => {
    const node = await start();
    const failing = node.services.queryAll(logRequest('{app='), new AbortController().signal);
    expect(await failing.catch((error: unknown) => error)).to.be.instanceOf(RefusedError);
    const cancelled = node.services.queryAll(logRequest('{app="web"}'), AbortSignal.abort());
    const error = await cancelled.catch((refused: unknown) => refused);
    expect((error as RefusedError).refusal.code).to.equal('CANCELLED');
  });
});
