import { expect } from 'chai';
import { ShownEntries } from '../../../src/actors/shown-entries.ts';
import type { LogStream } from '../../../src/query/query-messages.ts';

const one = (timeNs: bigint, line: string, app = 'web'): LogStream => ({
  labels: ['app', app],
  entries: [{ timeNs, line }],
});

describe('the entries that a tail showed', () => {
  it('are not fresh any more; others of the same time, line or stream are', () => {
    const shown = new ShownEntries();
    const entries = [one(1n, 'a'), one(1n, 'b'), one(2n, 'a'), one(1n, 'a', 'other')];
    expect(shown.fresh(entries)).to.deep.equal(entries);
    expect(shown.fresh([...entries, one(3n, 'c')])).to.deep.equal([one(3n, 'c')]);
  });

  it('are known once if they come twice at a time', () => {
    expect(new ShownEntries().fresh([one(1n, 'a'), one(1n, 'a')])).to.deep.equal([one(1n, 'a')]);
  });

  it('are forgotten only after very many others', () => {
    const shown = new ShownEntries();
    shown.fresh([one(0n, 'first')]);
    shown.fresh(Array.from({ length: 30_000 }, (_, index) => one(BigInt(index + 1), 'x')));
    expect(shown.fresh([one(0n, 'first')])).to.deep.equal([]);
    shown.fresh(Array.from({ length: 60_000 }, (_, index) => one(BigInt(index + 1), 'y')));
    expect(shown.fresh([one(0n, 'first')])).to.have.length(1);
  });

  it('are not forgotten while a look-up may bring them again, up to a bound', () => {
    const shown = new ShownEntries();
    shown.fresh([one(0n, 'first')], true);
    shown.fresh(
      Array.from({ length: 100_000 }, (_, index) => one(BigInt(index + 1), 'x')),
      true,
    );
    expect(shown.fresh([one(0n, 'first')], true)).to.deep.equal([]);
    shown.fresh(
      Array.from({ length: 400_000 }, (_, index) => one(BigInt(index + 1), 'y')),
      true,
    );
    expect(shown.fresh([one(0n, 'first')], true)).to.have.length(1);
  });
});
