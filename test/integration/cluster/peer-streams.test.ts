import { expect } from 'chai';
import { FRAME_COST } from '../../../src/cluster/transport/frame.ts';
import type { CallOptions, PeerHandler } from '../../../src/cluster/transport/peers.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { eventually } from '../../support/eventually.ts';
import {
  bytes,
  COUNT,
  ECHO,
  failureOf,
  HANG,
  PeersRig,
  REFUSE,
  signal,
  textOf,
  WITHIN,
} from '../../support/peers-rig.ts';

const QUERY: CallOptions = { deadlineMs: 10_000, class: 'query' };
const ANSWER_BYTES = 100_000;

/** Counts how often it is pulled and whether it was left. */
class Counter {
  pulls = 0;
  returns = 0;

  readonly handler: PeerHandler = (body) => this.#answers(Number(textOf(body)));

  async *#answers(count: number): AsyncGenerator<Uint8Array[]> {
    try {
      for (let index = 0; index < count; index += 1) {
        this.pulls += 1;
        const answer = Buffer.alloc(ANSWER_BYTES);
        answer.writeUInt32LE(index);
        yield [answer.subarray(0, 4), answer.subarray(4)];
      }
    } finally {
      this.returns += 1;
    }
  }
}

const indexesOf = async (answers: AsyncIterable<Uint8Array>): Promise<number[]> => {
  const indexes: number[] = [];
  for await (const answer of answers) {
    expect(answer.length).to.equal(ANSWER_BYTES);
    indexes.push(Buffer.from(answer).readUInt32LE());
  }
  return indexes;
};

const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setTimeout(resolve, 1));
};

describe('streams of answers between peers', () => {
  const rig = new PeersRig();

  afterEach(() => rig.close());

  it('come in order, and end', async () => {
    const counter = new Counter();
    const [a, b] = [await rig.start('a'), await rig.start('b', { [COUNT]: counter.handler })];
    const indexes = await indexesOf(a.peers.stream(b.address(), COUNT, bytes('200'), QUERY));
    expect(indexes).to.deep.equal(Array.from({ length: 200 }, (_, index) => index));
    expect(await indexesOf(a.peers.stream(b.address(), COUNT, bytes('0'), QUERY))).to.deep.equal([]);
    expect([counter.pulls, counter.returns]).to.deep.equal([200, 2]);
  });

  it('asks nothing before the first is read', async () => {
    const counter = new Counter();
    const [a, b] = [await rig.start('a'), await rig.start('b', { [COUNT]: counter.handler })];
    a.peers.stream(b.address(), COUNT, bytes('1'), QUERY);
    await a.peers.request(b.address(), ECHO, [], WITHIN);
    expect(counter.pulls).to.equal(0);
  });

  it('pulls the handler only as far ahead of a slow reader as its window', async () => {
    const counter = new Counter();
    const [a, b] = [await rig.start('a'), await rig.start('b', { [COUNT]: counter.handler })];
    const window = 1 << 20;
    const ahead = Math.ceil(window / (ANSWER_BYTES + FRAME_COST));
    let read = 0;
    for await (const _ of a.peers.stream(b.address(), COUNT, bytes('100'), QUERY)) {
      read += 1;
      if (read % 20 === 0) {
        await turns(20);
        expect(counter.pulls, `after ${read} were read`).to.be.at.most(read + ahead);
      }
    }
    expect([read, counter.pulls]).to.deep.equal([100, 100]);
  });

  it('do not hold up each other: one that nobody reads, beside others of its class', async () => {
    const counters = [new Counter(), new Counter()];
    const b = await rig.start('b', { [COUNT]: counters[0]!.handler, [HANG]: counters[1]!.handler });
    const a = await rig.start('a');
    // More windows than the class has credit for.
    const unread = Array.from({ length: 12 }, () =>
      a.peers.stream(b.address(), HANG, bytes('100'), QUERY)[Symbol.asyncIterator](),
    );
    for (const iterator of unread) await iterator.next();
    await turns(20);
    expect(await indexesOf(a.peers.stream(b.address(), COUNT, bytes('100'), QUERY))).to.have.length(100);
    for (const iterator of unread) await iterator.return?.();
    await eventually('all are left', () => counters[1]!.returns === 12);
  });

  it('are cancelled at the other side when the loop is left', async () => {
    const counter = new Counter();
    const [a, b] = [await rig.start('a'), await rig.start('b', { [COUNT]: counter.handler })];
    for await (const _ of a.peers.stream(b.address(), COUNT, bytes('1000'), QUERY)) break;
    await eventually('the handler is left', () => counter.returns === 1);
    expect(counter.pulls).to.be.lessThan(20);
  });

  it('end with what the handler refused, after the answers before it', async () => {
    const b = await rig.start('b', {
      [REFUSE]: async function* () {
        yield bytes('first');
        throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'no disk' });
      },
    });
    const a = await rig.start('a');
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      for await (const answer of a.peers.stream(b.address(), REFUSE, [], QUERY)) seen.push(textOf(answer));
    };
    const error = await failureOf(read());
    expect([seen, error.code, error.refusal?.code]).to.deep.equal([['first'], 'REFUSED', 'STORAGE_UNAVAILABLE']);
  });

  it('wait for each answer no longer than the deadline', async () => {
    let aborted = false;
    const never = signal();
    const b = await rig.start('b', {
      [HANG]: async function* (_, call) {
        call.signal.addEventListener('abort', () => {
          aborted = true;
          never.fire();
        });
        yield bytes('first');
        await never.promise;
      },
    });
    const a = await rig.start('a');
    const seen: string[] = [];
    const read = async (): Promise<void> => {
      const options: CallOptions = { ...QUERY, deadlineMs: 150 };
      for await (const answer of a.peers.stream(b.address(), HANG, [], options)) seen.push(textOf(answer));
    };
    expect([(await failureOf(read())).code, seen]).to.deep.equal(['UNKNOWN', ['first']]);
    await eventually('the handler is told', () => aborted);
  });

  it('fail when the link breaks', async () => {
    const counter = new Counter();
    const b = await rig.start('b', { [COUNT]: counter.handler });
    const a = await rig.start('a');
    const read = async (): Promise<void> => {
      for await (const _ of a.peers.stream(b.address(), COUNT, bytes('1000'), QUERY)) {
        await b.peers.close({ deadlineMs: 0 });
      }
    };
    expect((await failureOf(read())).code).to.equal('UNKNOWN');
    await eventually('the handler is left', () => counter.returns === 1);
  });

  it('take the one answer of a handler that has one; a request for one is refused by a handler that has many', async () => {
    const counter = new Counter();
    const [a, b] = [await rig.start('a'), await rig.start('b', { [COUNT]: counter.handler })];
    const answers: string[] = [];
    for await (const answer of a.peers.stream(b.address(), ECHO, bytes('one'), QUERY)) answers.push(textOf(answer));
    expect(answers).to.deep.equal(['one']);
    const refused = await failureOf(a.peers.request(b.address(), COUNT, bytes('3'), QUERY));
    expect([refused.code, refused.refusal?.code]).to.deep.equal(['REFUSED', 'BAD_REQUEST']);
  });
});
