import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect } from 'chai';
import { decodePacket, FRAME } from '../../../../src/cluster/transport/frame.ts';
import { noFigures } from '../../../../src/cluster/transport/link-figures.ts';
import { Outbox, type Sending } from '../../../../src/cluster/transport/outbox.ts';
import { CALL_CLASSES } from '../../../../src/cluster/transport/peers.ts';

const APPEND = CALL_CLASSES.indexOf('append');
const PART_BYTES = 1000;
/** Four parts of a message and what they cost. */
const WINDOW = 5000;

describe('what a link sends', () => {
  let written: { readonly seq: number; readonly offset: number; readonly size: number }[];
  let isEnded: boolean;
  let outbox: Outbox;

  beforeEach(() => {
    written = [];
    isEnded = false;
    const pipe = {
      bufferedBytes: 0,
      write: (packet: Buffer) => {
        for (const { seq, offset, body } of decodePacket(packet)) written.push({ seq, offset, size: body.length });
      },
      end: () => {
        isEnded = true;
      },
      destroy: () => undefined,
      onPacket: () => undefined,
      onDrain: () => undefined,
      onClose: () => undefined,
    };
    const windows = CALL_CLASSES.map(() => WINDOW);
    outbox = new Outbox(pipe, windows, PART_BYTES, noFigures());
  });

  const send = (seq: number, size: number, onSent?: () => void): Sending =>
    outbox.send({ frame: { type: FRAME.request, seq, class: APPEND }, body: [new Uint8Array(size)], onSent });
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  };
  const seqs = (): readonly number[] => [...new Set(written.map(({ seq }) => seq))];

  it('goes on with the next message where one is given up in the middle', async () => {
    const first = send(1, 100_000);
    let sent = 0;
    const second = send(2, 10, () => {
      sent += 1;
    });
    await turns();
    expect(seqs(), 'the first has used up the credit').to.deep.equal([1]);
    expect([first.isWaiting, second.isWaiting, outbox.lacksCredit(APPEND)]).to.deep.equal([true, true, true]);
    outbox.drop(first);
    outbox.acknowledged(APPEND, WINDOW);
    await turns();
    expect(seqs()).to.deep.equal([1, 2]);
    expect([first.isWaiting, second.isWaiting, sent]).to.deep.equal([false, false, 1]);
    expect(outbox.lacksCredit(APPEND), 'nobody waits').to.equal(false);
  });

  it('keeps neither the body of what it has sent nor of what was given up', async () => {
    const [sent, stuck, dropped] = [send(1, 10), send(2, 100_000), send(3, 10)];
    await turns();
    outbox.drop(dropped);
    expect([sent, stuck, dropped].map(({ body }) => body.length)).to.deep.equal([0, 1, 0]);
    outbox.drop(sent);
    expect(sent.isWaiting).to.equal(false);
  });

  it('ends the pipe once all that is left was given up', async () => {
    const one = send(1, 100_000);
    outbox.end();
    await turns();
    expect(isEnded).to.equal(false);
    outbox.drop(one);
    outbox.acknowledged(APPEND, WINDOW);
    await turns();
    expect(isEnded).to.equal(true);
  });

  it('sends in their order those that are left of very many that were given up behind one that waits', async () => {
    const stuck = send(1, 100_000);
    const others = Array.from({ length: 1000 }, (_, index) => send(index + 2, 1));
    await turns();
    written = [];
    for (const [index, one] of others.entries()) if (index % 100 !== 0) outbox.drop(one);
    outbox.drop(stuck);
    outbox.acknowledged(APPEND, WINDOW);
    await turns();
    expect(seqs()).to.deep.equal([2, 102, 202, 302, 402, 502, 602, 702, 802, 902]);
  });

  it('sends nothing any more once it is closed', async () => {
    const one = send(1, 10);
    outbox.drop(send(2, 10));
    outbox.close();
    await turns();
    expect([written.length, one.isWaiting]).to.deep.equal([0, false]);
  });
});
