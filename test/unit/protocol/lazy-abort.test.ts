import { expect } from 'chai';
import { LazyAbort } from '../../../src/protocol/lazy-abort.ts';

describe('a lazy abort', () => {
  it('reaches a signal that was asked for before', () => {
    const abort = new LazyAbort();
    const { signal } = abort;
    const reasons: unknown[] = [];
    signal.addEventListener('abort', () => reasons.push(signal.reason));
    expect([signal.aborted, abort.isAborted]).to.deep.equal([false, false]);
    const reason = new Error('gone');
    abort.abort(reason);
    expect(reasons).to.deep.equal([reason]);
    expect([signal.aborted, abort.isAborted]).to.deep.equal([true, true]);
  });

  it('is known to a signal that is asked for later, with the first reason', () => {
    const abort = new LazyAbort();
    const first = new Error('first');
    abort.abort(first);
    abort.abort(new Error('second'));
    expect(abort.signal.aborted).to.equal(true);
    expect(abort.signal.reason).to.equal(first);
  });

  it('has one signal', () => {
    const abort = new LazyAbort();
    expect(abort.signal).to.equal(abort.signal);
  });
});
