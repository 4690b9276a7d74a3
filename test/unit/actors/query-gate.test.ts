import { expect } from 'chai';
import { QueryGate } from '../../../src/actors/query-gate.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';

const setup = (options = {}) => {
  const gate = new QueryGate({ runningMax: 2, runningPerTenantMax: 2, waitingPerTenantMax: 3, ...options });
  const admitted: string[] = [];
  const leave = new Map<string, () => void>();
  const enter = (name: string): void => {
    leave.set(
      name,
      gate.enter(name[0] ?? '', () => admitted.push(name)),
    );
  };
  return { admitted, enter, leave: (name: string) => leave.get(name)?.() };
};

const many = { runningMax: 9, runningPerTenantMax: 4 };

describe('the gate of queries', () => {
  it('admits tenants in turn, the queries of each in their order', () => {
    const { admitted, enter, leave } = setup();
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5', 'b1', 'b2', 'c1']) enter(name);
    expect(admitted).to.deep.equal(['a1', 'a2']);
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'a4']) leave(name);
    expect(admitted.slice(2)).to.deep.equal(['a3', 'b1', 'c1', 'a4', 'b2', 'a5']);
  });

  it('lets no tenant have more at a time than it may, and others pass it', () => {
    const { admitted, enter, leave } = setup({ runningMax: 3, runningPerTenantMax: 1 });
    for (const name of ['a1', 'a2', 'b1']) enter(name);
    expect(admitted).to.deep.equal(['a1', 'b1']);
    leave('b1');
    expect(admitted).to.deep.equal(['a1', 'b1']);
    leave('a1');
    expect(admitted).to.deep.equal(['a1', 'b1', 'a2']);
  });

  it('refuses who would wait behind too many of its own tenant, and nobody else', () => {
    const { admitted, enter } = setup({ waitingPerTenantMax: 1 });
    for (const name of ['a1', 'a2', 'a3', 'b1']) enter(name);
    expect(() => enter('a4'))
      .to.throw(RefusedError, 'too many outstanding requests')
      .with.nested.property('refusal.code', 'OVERLOADED');
    expect(() => enter('b2')).to.throw(RefusedError);
    expect(admitted).to.deep.equal(['a1', 'a2']);
  });

  it('forgets who leaves while it waits', () => {
    const { admitted, enter, leave } = setup({ waitingPerTenantMax: 1 });
    for (const name of ['a1', 'a2', 'a3']) enter(name);
    leave('a3');
    enter('a4');
    leave('a1');
    leave('a2');
    leave('a4');
    enter('a5');
    enter('a6');
    expect(admitted).to.deep.equal(['a1', 'a2', 'a4', 'a5', 'a6']);
  });

  it('tells how many run and wait, of all tenants', () => {
    const gate = new QueryGate({ runningMax: 9, runningPerTenantMax: 1, waitingPerTenantMax: 2 });
    const enter = (tenant: string): (() => void) => gate.enter(tenant, () => undefined);
    const first = enter('a');
    const leaving = [enter('a'), enter('a'), enter('b')];
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 2 });
    first();
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 1 });
    for (const leave of leaving) leave();
    expect(gate.figures).to.deep.equal({ running: 0, waiting: 0 });
  });

  it('runs two of a tenant while pushes are to be spared, and all again afterwards', () => {
    const clock = new ManualClock();
    let mustSpare = true;
    const gate = new QueryGate({ ...many, waitingPerTenantMax: 10, sparing: { isDue: () => mustSpare, clock } });
    const leaving = Array.from({ length: 8 }, () => gate.enter('a', () => undefined));
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 6 });
    leaving[0]?.();
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 5 });
    mustSpare = false;
    leaving[1]?.();
    expect(gate.figures).to.deep.equal({ running: 4, waiting: 2 });
    mustSpare = true;
    for (const leave of leaving.slice(2, 4)) leave();
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 2 });
    for (const leave of leaving.slice(4)) leave();
    expect(gate.figures).to.deep.equal({ running: 0, waiting: 0 });
  });

  it('refuses nobody for the sake of pushes, and lets nobody overtake those it held back', () => {
    const clock = new ManualClock();
    let mustSpare = true;
    const gate = new QueryGate({ ...many, waitingPerTenantMax: 0, sparing: { isDue: () => mustSpare, clock } });
    const admitted: string[] = [];
    const enter = (name: string): (() => void) => gate.enter('a', () => admitted.push(name));
    const leaving = ['1', '2', '3'].map(enter);
    expect(admitted).to.deep.equal(['1', '2']);
    mustSpare = false;
    leaving.push(enter('4'));
    expect(admitted).to.deep.equal(['1', '2', '3', '4']);
    expect(() => enter('5')).to.throw('too many outstanding requests');
    for (const leave of leaving) leave();
    expect(gate.figures).to.deep.equal({ running: 0, waiting: 0 });
  });

  it('lets those in that it held back once pushes no longer suffer, though nobody comes or goes', () => {
    const clock = new ManualClock();
    let mustSpare = true;
    const gate = new QueryGate({ ...many, waitingPerTenantMax: 10, sparing: { isDue: () => mustSpare, clock } });
    const leaving = Array.from({ length: 6 }, () => gate.enter('a', () => undefined));
    clock.advance(5_000);
    expect(gate.figures).to.deep.equal({ running: 2, waiting: 4 });
    expect(clock.timers).to.equal(1);
    mustSpare = false;
    clock.advance(250);
    expect(gate.figures).to.deep.equal({ running: 4, waiting: 2 });
    expect(clock.timers, 'those who wait for others need none').to.equal(0);
    for (const leave of leaving) leave();
    expect(gate.figures).to.deep.equal({ running: 0, waiting: 0 });
  });

  it('asks once for each query that enters whether pushes suffer', () => {
    let asked = 0;
    const isDue = (): boolean => {
      asked += 1;
      return true;
    };
    const gate = new QueryGate({ ...many, waitingPerTenantMax: 9, sparing: { isDue, clock: new ManualClock() } });
    for (let entered = 0; entered < 4; entered += 1) gate.enter('a', () => undefined);
    expect(asked).to.equal(4);
  });
});
