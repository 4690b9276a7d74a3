import { expect } from 'chai';
import fc from 'fast-check';
import { FairQueue } from '../../../src/protocol/fair-queue.ts';

const queueOf = (...items: readonly string[]): FairQueue<string> => {
  const queue = new FairQueue<string>();
  for (const item of items) queue.add(item[0] ?? '', item);
  return queue;
};

const taken = (queue: FairQueue<string>): string[] => {
  const items: string[] = [];
  for (let item = queue.take(); item !== undefined; item = queue.take()) items.push(item);
  return items;
};

describe('a fair queue', () => {
  it('serves tenants in turn, each first come first served', () => {
    expect(taken(queueOf('a1', 'a2', 'a3', 'b1', 'b2', 'c1'))).to.deep.equal(['a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
  });

  it('serves who comes to it late after one of each that waits', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'a4');
    expect([queue.take(), queue.take()]).to.deep.equal(['a1', 'a2']);
    queue.add('b', 'b1');
    expect(taken(queue)).to.deep.equal(['a3', 'b1', 'a4']);
  });

  it('passes over tenants that may not have a turn now, and leaves them theirs', () => {
    const queue = queueOf('a1', 'a2', 'b1');
    expect(queue.take((whose) => whose !== 'a')).to.equal('b1');
    expect(queue.take((whose) => whose !== 'a')).to.equal(undefined);
    expect(taken(queue)).to.deep.equal(['a1', 'a2']);
  });

  it('lets go of who gives up', () => {
    const queue = queueOf('a1', 'a2', 'b1');
    expect([queue.remove('a', 'a1'), queue.remove('a', 'a1'), queue.remove('c', 'c1')]).to.deep.equal([
      true,
      false,
      false,
    ]);
    expect([queue.size, queue.sizeOf('a')]).to.deep.equal([2, 1]);
    expect(taken(queue)).to.deep.equal(['a2', 'b1']);
  });

  it('makes room at the end of the longest line, for who then still has fewer', () => {
    const queue = queueOf('a1', 'a2', 'a3', 'b1');
    expect(queue.displace('a')).to.equal(undefined);
    expect(queue.displace('b')).to.equal('a3');
    queue.add('b', 'b2');
    expect(queue.displace('b')).to.equal(undefined);
    expect(queue.displace('c')).to.equal('a2');
    expect(taken(queue)).to.deep.equal(['a1', 'b1', 'b2']);
  });

  it('lets nobody be served twice while another waits, whatever comes and goes', () => {
    const steps = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c'), fc.constant('take')), { maxLength: 60 });
    fc.assert(
      fc.property(steps, (all) => {
        const queue = new FairQueue<string>();
        const since = new Map<string, Set<string>>();
        for (const [index, step] of all.entries()) {
          if (step !== 'take') {
            if (queue.sizeOf(step) === 0) since.set(step, new Set());
            queue.add(step, `${step}${index}`);
            continue;
          }
          const whose = queue.take()?.[0];
          if (whose === undefined) continue;
          for (const other of ['a', 'b', 'c']) {
            if (other === whose || queue.sizeOf(other) === 0) continue;
            const served = since.get(other) ?? new Set();
            expect(served.has(whose), `${whose} was served twice while ${other} waited`).to.equal(false);
            since.set(other, served.add(whose));
          }
          since.set(whose, new Set());
        }
      }),
    );
  });
});
