import { expect } from 'chai';
import fc from 'fast-check';
import { sortInTurns } from '../../../src/query/sort-in-turns.ts';
import { Turns } from '../../../src/query/turns.ts';
import { systemClock } from '../../../src/system-clock.ts';

describe('sorting in turns', () => {
  it('gives what sorting at once gives, equal items in their order', async () => {
    const items = fc.array(fc.nat(50), { maxLength: 3000, size: 'max' });
    await fc.assert(
      fc.asyncProperty(items, async (numbers) => {
        const placed = numbers.map((number, place) => ({ number, place }));
        const compare = (a: { number: number }, b: { number: number }): number => a.number - b.number;
        const sorted = await sortInTurns(placed, compare, new Turns(systemClock));
        expect(sorted).to.deep.equal([...placed].sort(compare));
      }),
      { numRuns: 20 },
    );
  });
});
