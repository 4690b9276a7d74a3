import { expect } from 'chai';
import fc from 'fast-check';
import { bytesOfText, textOfBytes } from '../../../src/protocol/byte-text.ts';
import { cellKey, cellValue, keyRange, rowKey } from '../../../src/storage/lmdb-index-key.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const byteText = fc.string({
  unit: fc.constantFrom('\0', 'a', 'b', ':', 'ÿ', '\u{1f600}', '\udcff', '\udc80'),
  maxLength: 12,
});
const longText = fc.tuple(byteText, fc.constantFrom(0, 890, 1_200)).map(([text, size]) => text + 'n'.repeat(size));

describe('keys of index cells', () => {
  it('are the table, the size of the hash value, the hash value and the range value', () => {
    const key = cellKey(rowKey('index_2779', '03:t:d1:logs'), 'r\0');
    expect(key.toString('latin1')).to.equal('index_2779\0\0\x0c03:t:d1:logsr\0');
  });

  it('hold the SHA-256 of a hash value that is too long, and the value holds it whole', () => {
    const name = 'n'.repeat(1_024);
    const row = rowKey('index_2779', name);
    expect(cellKey(row, 'r')).to.have.length(11 + 2 + 32 + 1);
    expect(cellValue(row, 'v').toString('latin1')).to.equal(`\x04\0${name}v`);
  });

  it('give back range value and value, byte for byte', () => {
    fc.assert(
      fc.property(longText, byteText, byteText, (hashValue, rangeValue, value) => {
        const row = rowKey('t', hashValue);
        expect(textOfBytes(cellKey(row, rangeValue).subarray(row.prefix.length))).to.equal(rangeValue);
        expect(textOfBytes(cellValue(row, value).subarray(row.valuePrefix.length))).to.equal(value);
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('lie in a range exactly if table and row are the same, the prefix fits and the start is not after them', () => {
    const cell = fc.record({ table: fc.constantFrom('t', 'ta'), hashValue: longText, rangeValue: byteText });
    fc.assert(
      fc.property(cell, cell, byteText, byteText, fc.boolean(), (held, asked, prefix, start, isSame) => {
        const lookup = isSame ? held : asked;
        const range = keyRange(rowKey(lookup.table, lookup.hashValue), prefix, start);
        const key = cellKey(rowKey(held.table, held.hashValue), held.rangeValue);
        const isIn = Buffer.compare(key, range.start) >= 0 && Buffer.compare(key, range.end) < 0;
        const rangeBytes = bytesOfText(held.rangeValue);
        const isWanted =
          held.table === lookup.table &&
          held.hashValue === lookup.hashValue &&
          rangeBytes.subarray(0, bytesOfText(prefix).length).equals(bytesOfText(prefix)) &&
          Buffer.compare(rangeBytes, bytesOfText(start)) >= 0;
        expect(isIn).to.equal(isWanted);
      }),
      { numRuns: propertyRuns(2) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
