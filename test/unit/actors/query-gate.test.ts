import { expect } from 'chai';
import { QueryGate } from '../../../src/actors/query-gate.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';

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
});
