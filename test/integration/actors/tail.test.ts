import { expect } from 'chai';
import type { TailFrame } from '../../../src/actors/node-services.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { startTestNode, type TestNode } from '../../support/cluster.ts';
import { pushOf, type TestEntry } from '../../support/entries.ts';

const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;
const recent = (line: string, offsetMs = 0): TestEntry => ({ timeNs: nowNs() + BigInt(offsetMs) * 1_000_000n, line });
const linesOfFrame = ({ streams }: TailFrame): readonly string[] =>
  streams.flatMap(({ entries }) => entries.map(({ line }) => line));

describe('tail', function () {
  this.timeout(60_000);
  let running: TestNode;

  const start = async () => {
    running = await startTestNode();
    return running.node;
  };

  const request = (query: string, limit = 100) => ({
    tenant: 'tenant',
    query,
    startNs: nowNs() - 3_600_000_000_000n,
    limit,
    delayMs: 0,
  });

  afterEach(async () => {
    await running.node.stop({ deadlineMs: 5000 }).catch(() => undefined);
  });

  it('shows the newest entries, oldest first, then what is appended, each once', async () => {
    const { services } = await start();
    const old = [recent('one', -3000), recent('two', -2000), recent('three', -1000)];
    await services.push('tenant', pushOf({ '{app="web"}': old }));
    const tail = services.tail(request('{app="web"}', 2));
    const frames = tail.frames[Symbol.asyncIterator]();
    expect(linesOfFrame((await frames.next()).value)).to.deep.equal(['two', 'three']);
    await services.push('tenant', pushOf({ '{app="web"}': [recent('four')], '{app="other"}': [recent('no')] }));
    expect(linesOfFrame((await frames.next()).value)).to.deep.equal(['four']);
    await services.push('tenant', pushOf({ '{app="web", pod="new"}': [recent('five')] }));
    const { value } = await frames.next();
    expect(value.streams.map(({ labels }: { labels: readonly string[] }) => labels)).to.deep.equal([
      ['app', 'web', 'pod', 'new'],
    ]);
    tail.cancel();
    expect((await frames.next()).done).to.equal(true);
  });

  it('runs the stages of the query over live entries', async () => {
    const { services } = await start();
    const tail = services.tail(request('{app="web"} |= "keep" | line_format "<{{.app}}>"'));
    const frames = tail.frames[Symbol.asyncIterator]();
    const next = frames.next();
    await services.push('tenant', pushOf({ '{app="web"}': [recent('drop'), recent('keep', 1)] }));
    expect(linesOfFrame((await next).value)).to.deep.equal(['<web>']);
    tail.cancel();
  });

  it('shows live entries of several streams in order of their times, one in each element', async () => {
    const { services } = await start();
    const tail = services.tail(request('{app=~".+"}'));
    const frames = tail.frames[Symbol.asyncIterator]();
    const next = frames.next();
    const push = pushOf({ '{app="a"}': [recent('1', 0), recent('3', 20)], '{app="b"}': [recent('2', 10)] });
    await services.push('tenant', push);
    const frame = (await next).value;
    expect(linesOfFrame(frame)).to.deep.equal(['1', '2', '3']);
    expect(frame.streams.length).to.equal(3);
    tail.cancel();
  });

  it('refuses what does not parse and what is no log query', async () => {
    const { services } = await start();
    const refusalOf = (query: string) => {
      try {
        services.tail(request(query));
      } catch (error) {
        if (error instanceof RefusedError) return error.refusal.text;
      }
      return undefined;
    };
    expect(refusalOf('{app=')).to.match(/^parse error/);
    expect(refusalOf('rate({app="web"}[1m])')).to.match(/only log selector is supported/);
  });
});
