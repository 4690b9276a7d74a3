import { expect } from 'chai';
import { QueryGate } from '../../../src/actors/query-gate.ts';

describe('the turns of queries', () => {
  it('tells how many run and wait, of all tenants', () => {
    const gate = new QueryGate({ runningMax: 1, waitingMax: 2 });
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
    let mustSpare = true;
    const gate = new QueryGate({ runningMax: 4, waitingMax: 10, mustSpare: () => mustSpare });
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
    let mustSpare = true;
    const gate = new QueryGate({ runningMax: 4, waitingMax: 0, mustSpare: () => mustSpare });
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
});
