import { Client, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { expect } from 'chai';
import sinon from 'sinon';
import { type BatchOutcome, PushClient, type PushClientOptions } from '../../../src/http/push-client.ts';

type Answer = (error: ServiceError | null) => void;

const failure = (code: status, details: string): ServiceError =>
  Object.assign(new Error(details), { code, details, metadata: new Metadata() });

/** What the channel gets to send, and when; time moves when the test says so. */
describe('PushClient', () => {
  let clock: sinon.SinonFakeTimers;
  let sent: { readonly atMs: number; readonly bytes: Buffer; readonly tenant: string; readonly answer: Answer }[];
  let settled: BatchOutcome[];

  beforeEach(() => {
    sent = [];
    settled = [];
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    sinon.stub(Client.prototype, 'makeUnaryRequest').callsFake(((...call: unknown[]) => {
      const [, , , bytes, metadata] = call as [string, unknown, unknown, Buffer, Metadata];
      const tenant = String(metadata.get('x-scope-orgid')[0] ?? '');
      sent.push({ atMs: Date.now(), bytes, tenant, answer: call.at(-1) as Answer });
    }) as never);
  });
  afterEach(() => sinon.restore());

  /** `random` of 1: delays are whole, not halved. */
  const client = (options: Partial<PushClientOptions> = {}): PushClient =>
    new PushClient({
      address: '127.0.0.1:1',
      onBatch: (outcome) => settled.push(outcome),
      ...options,
      retry: { random: () => 1, ...options.retry },
    });
  const answerLast = async (error: ServiceError | null = null): Promise<void> => {
    sent.at(-1)?.answer(error);
    await clock.tickAsync(0);
  };

  it('sends a batch when its first entry is old enough, not before', async () => {
    const pusher = client({ batchAgeMsMax: 1000, tenant: 'team' });
    pusher.push('{app="x"}', 1n, 'one');
    await clock.tickAsync(600);
    pusher.push('{app="x"}', 2n, 'two');
    await clock.tickAsync(399);
    expect(sent).to.deep.equal([]);
    await clock.tickAsync(1);
    expect(sent.map(({ atMs, tenant }) => [atMs, tenant])).to.deep.equal([[1000, 'team']]);
    await answerLast();
    expect(settled).to.deep.equal([{ lines: 2, lineBytes: 6, attempts: 1, refusal: undefined }]);
  });

  it('starts no second timer for a batch that went because of its size', async () => {
    const pusher = client({ batchBytesMax: 10, batchAgeMsMax: 1000 });
    pusher.push('{app="x"}', 1n, 'long enough to go');
    expect(sent.length).to.equal(1);
    await answerLast();
    await clock.tickAsync(10_000);
    expect(sent.length).to.equal(1);
  });

  it('tries again after 100 ms, then twice as long each time, at most 5 s, with the same bytes', async () => {
    const pusher = client({ retry: { attemptsMax: 9 } });
    pusher.push('{app="x"}', 1n, 'one');
    const totals = pusher.flush();
    for (let attempt = 1; attempt < 9; attempt += 1) {
      await answerLast(failure(status.UNAVAILABLE, 'down'));
      await clock.tickAsync(5000);
      expect(sent.length).to.equal(attempt + 1);
      const [previous, latest] = sent.slice(-2);
      expect(latest?.bytes).to.deep.equal(sent[0]?.bytes);
      // Ticks of 5 s: the delay is what is left of the tick in which it began.
      expect((latest?.atMs ?? 0) - Math.ceil((previous?.atMs ?? 0) / 5000) * 5000).to.equal(
        Math.min(5000, 100 * 2 ** (attempt - 1)),
      );
    }
    await answerLast(failure(status.UNAVAILABLE, 'down for good'));
    expect(await totals).to.deep.equal({ acceptedLines: 0, acceptedBytes: 0, refusedLines: 1 });
    expect(settled[0]).to.deep.include({ attempts: 9, refusal: { status: 0, text: 'down for good' } });
  });

  it('spreads its delays between half and the whole', async () => {
    const pusher = client({ retry: { random: () => 0 } });
    pusher.push('{app="x"}', 1n, 'one');
    const totals = pusher.flush();
    await answerLast(failure(status.DEADLINE_EXCEEDED, 'slow'));
    await clock.tickAsync(49);
    expect(sent.length).to.equal(1);
    await clock.tickAsync(1);
    expect(sent.length).to.equal(2);
    await answerLast();
    expect(await totals).to.include({ acceptedLines: 1 });
  });

  it('does not try again what the server refuses for good', async () => {
    const pusher = client();
    pusher.push('{app="x"}', 1n, 'one');
    const totals = pusher.flush();
    await answerLast(failure(status.UNKNOWN, 'no such thing'));
    await clock.tickAsync(60_000);
    expect(sent.length).to.equal(1);
    expect(await totals).to.include({ refusedLines: 1 });
  });

  it('counts what was refused in part where the text counts it', async () => {
    const pusher = client();
    for (const [index, line] of ['one', 'two', 'three'].entries()) pusher.push('{app="x"}', BigInt(index), line);
    const totals = pusher.flush();
    await answerLast(failure(status.UNKNOWN, 'entry …,\nuser \'t\', total ignored: 1 out of 3 for stream: {app="x"}'));
    expect(await totals).to.include({ acceptedLines: 2, refusedLines: 1 });
  });

  it('earns retries back by batches that are taken', async () => {
    const pusher = client({ retry: { budget: 1, delayMs: 1 } });
    const pushOne = async (...answers: (ServiceError | null)[]): Promise<void> => {
      pusher.push('{app="x"}', 1n, 'one');
      const flushed = pusher.flush();
      for (const answer of answers) {
        await answerLast(answer);
        await clock.tickAsync(1);
      }
      await flushed;
    };
    const down = failure(status.UNAVAILABLE, 'down');
    await pushOne(down, down);
    await pushOne(down);
    for (let success = 0; success < 5; success += 1) await pushOne(null);
    await pushOne(down, null);
    expect(settled.map(({ attempts }) => attempts)).to.deep.equal([2, 1, 1, 1, 1, 1, 1, 2]);
  });

  it('says when enough is under way, and when there is room again', async () => {
    const pusher = client({ batchBytesMax: 1, batchesInFlightMax: 2 });
    expect(pusher.push('{app="x"}', 1n, 'one')).to.equal(true);
    expect(pusher.push('{app="x"}', 2n, 'two')).to.equal(false);
    const reached = sinon.spy();
    const room = pusher.room().then(reached);
    await clock.tickAsync(1000);
    expect(reached.called).to.equal(false);
    sent[0]?.answer(null);
    await room;
    sent[1]?.answer(null);
    expect(await pusher.close()).to.deep.equal({ acceptedLines: 2, acceptedBytes: 6, refusedLines: 0 });
    expect(() => pusher.push('{app="x"}', 3n, 'three')).to.throw('the push client is closed');
  });
});
