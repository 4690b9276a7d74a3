import { expect } from 'chai';
import fc from 'fast-check';
import {
  type GiverEffect,
  type GiverOptions,
  GiverState,
  type MoveOrder,
  RELEASES_A_TICK,
} from '../../../../src/cluster/handover/giver-state.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';

const OPTIONS: GiverOptions = {
  sessionBytes: 100,
  sessionSegmentsMax: 10,
  targetBytesMax: 200,
  targetsMax: 2,
  lingerMs: 1000,
  retryMs: 50,
};
const B = { nodeId: 'b', incarnation: 1 };
const C = { nodeId: 'c', incarnation: 1 };
const D = { nodeId: 'd', incarnation: 1 };

const order = (name: string, target = B, bytes = 10): MoveOrder => ({ name, bytes, target, epoch: 0 });
const sent = (effects: readonly GiverEffect[]) => effects.flatMap((effect) => (effect.type === 'send' ? [effect] : []));

describe('the giving side of a hand-over', () => {
  it('sends, lingers, lets go', () => {
    const giver = new GiverState(OPTIONS);
    expect(giver.step({ type: 'move', orders: [order('s1'), order('s2')] }, 0)).to.deep.equal([
      { type: 'send', session: 1, target: B, names: ['s1', 's2'] },
    ]);
    const answers = [
      { name: 's1', epoch: 1 },
      { name: 's2', epoch: 1 },
    ];
    expect(giver.step({ type: 'answered', session: 1, answers }, 10)).to.deep.equal([
      { type: 'given', name: 's1' },
      { type: 'given', name: 's2' },
    ]);
    expect(giver.figures.given).to.equal(2);
    expect(giver.step({ type: 'tick' }, 1009)).to.deep.equal([]);
    expect(giver.step({ type: 'tick' }, 1010).map(({ type }) => type)).to.deep.equal(['release', 'release']);
    expect(giver.has('s1')).to.equal(false);
  });

  it('has given what was answered when the rest of its session fails, and offers only the rest again', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: ['s1', 's2', 's3'].map((name) => order(name)) }, 0);
    const first = { type: 'answered', session: 1, answers: [{ name: 's1', epoch: 1 }], goesOn: true } as const;
    expect(giver.step(first, 10)).to.deep.equal([{ type: 'given', name: 's1' }]);
    expect(giver.figures).to.deep.include({ given: 1, sending: 2, bytesInFlight: 30 });
    giver.step({ type: 'failed', session: 1 }, 20);
    expect(giver.figures).to.deep.include({ given: 1, waiting: 2, bytesInFlight: 0 });
    expect(sent(giver.step({ type: 'tick' }, 5_000)).map(({ names }) => names)).to.deep.equal([['s2', 's3']]);
    expect(
      giver.step({ ...first, answers: [{ name: 's2', epoch: 1 }] }, 5_001),
      'of a session that failed',
    ).to.deep.equal([]);
  });

  it('lets go of a bounded number at a time, the oldest first', () => {
    const count = 3 * RELEASES_A_TICK + 1;
    const giver = new GiverState({ ...OPTIONS, sessionBytes: 1e9, sessionSegmentsMax: 1e9 });
    const names = Array.from({ length: count }, (_, index) => `s${index}`);
    giver.step({ type: 'move', orders: names.map((name) => order(name, B, 0)) }, 0);
    giver.step({ type: 'answered', session: 1, answers: names.map((name) => ({ name, epoch: 1 })) }, 0);
    const released: string[][] = [];
    while (giver.figures.given > 0 && released.length <= count) {
      const effects = giver.step({ type: 'tick' }, 1000);
      released.push(effects.flatMap((effect) => (effect.type === 'release' ? [effect.name] : [])));
    }
    expect(released.map(({ length }) => length)).to.deep.equal([RELEASES_A_TICK, RELEASES_A_TICK, RELEASES_A_TICK, 1]);
    expect(released.flat()).to.deep.equal(names);
  });

  it('has a bounded number of bytes and nodes under way', () => {
    const giver = new GiverState(OPTIONS);
    const orders = [B, C, D].flatMap((target) =>
      Array.from({ length: 50 }, (_, index) => order(`${target.nodeId}${index}`, target)),
    );
    const sessions = sent(giver.step({ type: 'move', orders }, 0));
    expect(new Set(sessions.map(({ target }) => target.nodeId))).to.have.lengthOf(2);
    expect(sessions.map(({ names }) => names.length)).to.deep.equal([10, 10, 10, 10]);
    expect(giver.figures.bytesInFlight).to.equal(400);
    const [first] = sessions;
    const answers = (first?.names ?? []).map((name) => ({ name, epoch: 1 }));
    expect(sent(giver.step({ type: 'answered', session: first?.session ?? 0, answers }, 1))).to.have.lengthOf(1);
  });

  it('offers again what was refused or lost, not at once', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [order('s')] }, 0);
    expect(giver.step({ type: 'answered', session: 1, answers: [] }, 5)).to.deep.equal([]);
    expect(giver.step({ type: 'tick' }, 54)).to.deep.equal([]);
    expect(sent(giver.step({ type: 'tick' }, 55))).to.have.lengthOf(1);
    expect(giver.step({ type: 'failed', session: 2 }, 60)).to.deep.equal([]);
    expect(sent(giver.step({ type: 'tick' }, 110))).to.have.lengthOf(1);
  });

  it('leaves a node that fails alone for longer and longer, and the others have its place', () => {
    const giver = new GiverState({ ...OPTIONS, targetsMax: 1 });
    giver.step({ type: 'move', orders: [order('b1', B), order('c1', C)] }, 0);
    expect(sent(giver.step({ type: 'failed', session: 1 }, 0)).map(({ target }) => target)).to.deep.equal([C]);
    giver.step({ type: 'answered', session: 2, answers: [{ name: 'c1', epoch: 1 }] }, 0);
    const restsMs: number[] = [];
    let failedMs = 0;
    for (let nowMs = 0, session = 3; restsMs.length < 10; nowMs += 10) {
      if (sent(giver.step({ type: 'tick' }, nowMs)).length === 0) continue;
      restsMs.push(nowMs - failedMs);
      failedMs = nowMs;
      giver.step({ type: 'failed', session }, nowMs);
      session += 1;
    }
    expect(restsMs).to.deep.equal([50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
  });

  it('stores nothing for others once it gave up, and still lets go what they have', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [order('given')] }, 0);
    giver.step({ type: 'answered', session: 1, answers: [{ name: 'given', epoch: 1 }] }, 0);
    giver.step({ type: 'move', orders: [order('sending'), order('waiting', B, 500)] }, 0);
    expect(giver.step({ type: 'give-up', names: ['given', 'sending', 'waiting'] }, 1)).to.deep.equal([
      { type: 'keep', name: 'sending' },
      { type: 'keep', name: 'waiting' },
    ]);
    expect(giver.step({ type: 'answered', session: 2, answers: [{ name: 'sending', epoch: 1 }] }, 2)).to.deep.equal([]);
    expect(giver.step({ type: 'tick' }, 1000)).to.deep.equal([{ type: 'release', name: 'given', epoch: 1 }]);
  });

  it('keeps what should be here after all', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [order('sending'), order('waiting', B, 500)] }, 0);
    giver.step({ type: 'move', orders: [order('later', B, 500)] }, 0);
    expect(giver.step({ type: 'stay', names: ['later'] }, 1)).to.deep.equal([{ type: 'keep', name: 'later' }]);
    expect(giver.step({ type: 'stay', names: ['sending'] }, 1)).to.deep.equal([]);
    expect(giver.step({ type: 'failed', session: 1 }, 2)).to.deep.include({ type: 'keep', name: 'sending' });
  });

  it('ignores an answer that is older than its custody', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [{ ...order('s'), epoch: 2 }] }, 0);
    expect(giver.step({ type: 'answered', session: 1, answers: [{ name: 's', epoch: 1 }] }, 1)).to.deep.equal([]);
    expect(giver.figures.given).to.equal(0);
    expect(giver.has('s')).to.equal(true);
  });

  it('takes its copy for the only one again when the new custodian is gone', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [order('s')] }, 0);
    giver.step({ type: 'answered', session: 1, answers: [{ name: 's', epoch: 1 }] }, 1);
    giver.step({ type: 'members', members: [C] }, 2);
    expect(giver.step({ type: 'tick' }, 1 + OPTIONS.lingerMs), 'nobody else has it').to.deep.equal([]);
    expect(sent(giver.step({ type: 'move', orders: [order('s', C)] }, 2000))).to.have.lengthOf(1);
    expect(giver.figures.given).to.equal(0);
  });

  it('keeps what was given to a node that is gone if it should be here, or nothing is given any more', () => {
    for (const type of ['stay', 'give-up'] as const) {
      const giver = new GiverState(OPTIONS);
      giver.step({ type: 'move', orders: [order('s')] }, 0);
      giver.step({ type: 'answered', session: 1, answers: [{ name: 's', epoch: 1 }] }, 1);
      giver.step({ type: 'members', members: [C] }, 2);
      expect(giver.step({ type, names: ['s'] }, 3)).to.deep.equal([{ type: 'keep', name: 's' }]);
    }
  });

  it('sends nothing once it is to send no more', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'send-no-more' }, 0);
    expect(giver.step({ type: 'move', orders: [order('s')] }, 0)).to.deep.equal([]);
    expect(giver.step({ type: 'tick' }, 1000)).to.deep.equal([]);
  });

  it('offers what was given to a node that is gone at the epoch that one had', () => {
    const giver = new GiverState(OPTIONS);
    giver.step({ type: 'move', orders: [order('s')] }, 0);
    giver.step({ type: 'answered', session: 1, answers: [{ name: 's', epoch: 1 }] }, 1);
    giver.step({ type: 'members', members: [C] }, 2);
    giver.step({ type: 'move', orders: [order('s', C)] }, 61);
    expect(
      giver.epochOf('s'),
      'a lower offer could be answered with an epoch that is no news, again and again',
    ).to.equal(1);
  });

  it('always leaves a custodian, whatever is lost and however the ring turns', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const steps = fc.array(
      fc.record({
        what: fc.constantFrom('ring', 'walk', 'deliver', 'lose', 'answer', 'lose-answer', 'time'),
        pick: fc.nat(1000),
      }),
      { minLength: 10, maxLength: 120 },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const model = new Model();
        for (const { what, pick } of all) model.act(what, pick);
        model.settle();
        expect(model.holders()).to.deep.equal([model.owner]);
      }),
      { numRuns: propertyRuns(300) },
    );
  });
});

interface Node {
  readonly id: number;
  readonly giver: GiverState;
  /** undefined: no copy. */
  epoch: number | undefined;
}

/** Three nodes, one segment. What a node knows of custody is the epoch of its copy, as the shell's log has it. */
class Model {
  owner = 0;
  #nowMs = 0;
  readonly #nodes: readonly Node[] = [0, 1, 2].map((id) => ({ id, giver: new GiverState(OPTIONS), epoch: undefined }));
  #offers: { from: number; to: number; session: number; epoch: number }[] = [];
  #answers: { to: number; session: number; epoch: number }[] = [];

  constructor() {
    this.#nodes[0]!.epoch = 0;
  }

  holders(): number[] {
    return this.#nodes.filter(({ epoch }) => epoch !== undefined).map(({ id }) => id);
  }

  act(what: string, pick: number): void {
    const node = this.#nodes[pick % 3]!;
    if (what === 'ring') this.owner = pick % 3;
    else if (what === 'walk') this.#walk(node);
    else if (what === 'deliver') this.#deliver(pick % Math.max(1, this.#offers.length));
    else if (what === 'lose') this.#lose(pick % Math.max(1, this.#offers.length));
    else if (what === 'answer') this.#answer(pick % Math.max(1, this.#answers.length), true);
    else if (what === 'lose-answer') this.#answer(pick % Math.max(1, this.#answers.length), false);
    else this.#time(pick);
    this.#check();
  }

  /** No more faults: it ends where the ring says. */
  settle(): void {
    for (let round = 0; round < 40; round += 1) {
      for (const node of this.#nodes) this.#walk(node);
      while (this.#offers.length > 0) this.#deliver(0);
      while (this.#answers.length > 0) this.#answer(0, true);
      this.#time(OPTIONS.lingerMs / 2);
      this.#check();
    }
  }

  #check(): void {
    const custodians = this.#nodes.filter(({ epoch, giver }) => epoch !== undefined && giver.figures.given === 0);
    expect(custodians, 'nobody has custody').to.not.have.lengthOf(0);
  }

  #walk(node: Node): void {
    if (node.epoch === undefined) return;
    if (this.owner === node.id) this.#perform(node, node.giver.step({ type: 'stay', names: ['s'] }, this.#nowMs));
    else if (!node.giver.has('s')) {
      const orders = [{ name: 's', bytes: 1, target: { nodeId: `${this.owner}`, incarnation: 1 }, epoch: node.epoch }];
      this.#perform(node, node.giver.step({ type: 'move', orders }, this.#nowMs));
    }
  }

  #deliver(index: number): void {
    const [offer] = this.#offers.splice(index, 1);
    if (!offer) return;
    const taker = this.#nodes[offer.to]!;
    taker.epoch = Math.max(taker.epoch ?? 0, offer.epoch) + 1;
    const { epoch } = taker;
    this.#perform(taker, taker.giver.step({ type: 'returned', name: 's', epoch }, this.#nowMs));
    this.#answers.push({ to: offer.from, session: offer.session, epoch });
  }

  #lose(index: number): void {
    const [offer] = this.#offers.splice(index, 1);
    if (offer) this.#fail(offer.from, offer.session);
  }

  #answer(index: number, arrives: boolean): void {
    const [answer] = this.#answers.splice(index, 1);
    if (!answer) return;
    if (!arrives) {
      this.#fail(answer.to, answer.session);
      return;
    }
    const node = this.#nodes[answer.to]!;
    // The shell's part: an answer below what the log has of this copy is none.
    const answers = answer.epoch > (node.epoch ?? 0) ? [{ name: 's', epoch: answer.epoch }] : [];
    this.#perform(node, node.giver.step({ type: 'answered', session: answer.session, answers }, this.#nowMs));
  }

  #fail(to: number, session: number): void {
    const node = this.#nodes[to]!;
    this.#perform(node, node.giver.step({ type: 'failed', session }, this.#nowMs));
  }

  #time(ms: number): void {
    this.#nowMs += ms;
    for (const node of this.#nodes) this.#perform(node, node.giver.step({ type: 'tick' }, this.#nowMs));
  }

  #perform(node: Node, effects: readonly GiverEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'send') {
        const { session, target } = effect;
        this.#offers.push({ from: node.id, to: Number(target.nodeId), session, epoch: node.epoch ?? 0 });
      } else if (effect.type === 'release') node.epoch = undefined;
    }
  }
}
