import { expect } from 'chai';
import { MetadataColumns } from '../../../src/chunk/metadata-columns.ts';
import { SymbolTable } from '../../../src/chunk/symbol-table.ts';

const pairs = (count: number, seed = 0): readonly string[] =>
  Array.from({ length: 2 * count }, (_, index) => `text ${(seed + index) % 40}`);

describe('columns of structured metadata', () => {
  it('have what was appended, however wide, and readers of before keep what they had', () => {
    const [columns, symbols] = [new MetadataColumns(3), new SymbolTable()];
    const appended: (readonly string[] | undefined)[] = [undefined, undefined, undefined];
    const seen: { readonly refs: Uint32Array; readonly ends: Uint32Array; readonly count: number }[] = [];
    for (let index = 0; index < 500; index += 1) {
      const some = index % 7 === 0 ? undefined : pairs(index % 31 === 0 ? 100 : index % 3, index);
      if (index >= 3) appended.push(some?.length === 0 ? undefined : some);
      columns.append(index, index < 3 ? undefined : some, symbols);
      if (index % 50 === 0) seen.push({ refs: columns.refs, ends: columns.ends, count: index + 1 });
    }
    expect(appended.map((_, index) => columns.pairsOf(index, symbols))).to.deep.equal(appended);
    for (const { refs, ends, count } of seen) {
      const end = ends[count - 1]!;
      expect([...refs.subarray(0, end)]).to.deep.equal([...columns.refs.subarray(0, end)]);
      expect([...ends.subarray(0, count)]).to.deep.equal([...columns.ends.subarray(0, count)]);
    }
  });

  it('take little more than one wide entry, and no more than twice what many need', () => {
    const symbols = new SymbolTable();
    const wide = new MetadataColumns(0);
    wide.append(0, pairs(20), symbols);
    expect(wide.memoryBytes).to.be.at.most(4 * (64 + 16));
    const many = new MetadataColumns(0);
    for (let index = 0; index < 10_000; index += 1) many.append(index, pairs(index === 0 ? 128 : 1), symbols);
    expect(many.memoryBytes).to.be.at.most(2 * 4 * 3 * 10_256);
  });
});

describe('a table of symbols', () => {
  it('numbers texts in the order in which they first come, before and after it is indexed', () => {
    const table = new SymbolTable();
    const texts = Array.from({ length: 20 }, (_, index) => `symbol ${index}`);
    for (const [index, text] of texts.entries()) {
      expect(table.find(text)).to.equal(undefined);
      expect(table.numberOf(text)).to.equal(index);
      expect(texts.slice(0, index + 1).map((one) => [table.numberOf(one), table.find(one)])).to.deep.equal(
        texts.slice(0, index + 1).map((_, number) => [number, number]),
      );
    }
    expect(table.texts).to.deep.equal(texts);
  });
});
