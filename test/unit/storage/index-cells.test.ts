import { expect } from 'chai';
import fc from 'fast-check';
import { bytesOfText } from '../../../src/protocol/byte-text.ts';
import { IndexCells } from '../../../src/storage/index-cells.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const text = fc.string({ unit: fc.constantFrom('\0', 'a', 'é', '\udcff'), maxLength: 300 });
const cell = fc.record({ rangeValue: text, value: text, how: fc.constantFrom('same', 'other', 'parts', 'latin1') });

describe('cells of a row', () => {
  it('are what was added, wherever their bytes lie', () => {
    fc.assert(
      fc.property(fc.array(fc.array(cell, { maxLength: 90 }), { maxLength: 3 }), (rows) => {
        const cells = new IndexCells();
        for (const row of rows) {
          cells.clear();
          const same = Buffer.concat(
            row.flatMap(({ rangeValue, value }) => [bytesOfText(rangeValue), bytesOfText(value)]),
          );
          let at = 0;
          for (const { rangeValue, value, how } of row) {
            const [range, bytes] = [bytesOfText(rangeValue), bytesOfText(value)];
            const [middle, end] = [range.length, range.length + bytes.length];
            if (how === 'same') cells.add(same, at, at + middle, at + middle, at + end);
            else if (how === 'other') cells.add(Buffer.concat([range, bytes]), 0, middle, middle, end);
            else if (how === 'parts') cells.addParts(range, bytes);
            else cells.addLatin1(`key${range.toString('latin1')}`, 3, `v${bytes.toString('latin1')}`, 1);
            at += end;
          }
          const expected = row.map(({ rangeValue, value }) => ({ rangeValue, value }));
          expect([...cells]).to.deep.equal(expected);
          expect(cells.count).to.equal(row.length);
          expect([...cells.show(1, 2)]).to.deep.equal(expected.slice(1, 3));
        }
      }),
      { numRuns: propertyRuns(10) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
