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
});
