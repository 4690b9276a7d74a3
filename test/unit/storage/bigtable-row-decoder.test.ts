import protos, { type google } from '@google-cloud/bigtable/build/protos/protos.js';
import { expect } from 'chai';
import fc from 'fast-check';
import { RowDecoder } from '../../../src/storage/bigtable-row-decoder.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const { v2 } = protos.google.bigtable;
type Chunk = google.bigtable.v2.ReadRowsResponse.ICellChunk;

const messageOf = (chunks: readonly Chunk[], extra: object = {}): Buffer =>
  Buffer.from(v2.ReadRowsResponse.encode({ chunks: [...chunks], ...extra }).finish());

type Cell = readonly [family: string, qualifier: string, value: string];

interface Row {
  readonly key: string;
  readonly cells: readonly Cell[];
}

const decode = (messages: readonly Buffer[], chunksMax = 3): Row[] => {
  const decoder = new RowDecoder();
  const rows: Row[] = [];
  for (const message of messages) {
    decoder.feed(message);
    while (!decoder.isTaken) {
      if (!decoder.take(chunksMax)) continue;
      const { key, cells } = decoder;
      const found = Array.from(cells, ({ rangeValue, value }, index) => {
        return [decoder.familyOf(index), rangeValue, value] as const;
      });
      rows.push({ key, cells: found });
    }
  }
  return rows;
};

const chunk = (parts: { key?: string; family?: string; qualifier?: string; value?: string } & Chunk): Chunk => {
  const { key, family, qualifier, value, ...rest } = parts;
  return {
    ...(key === undefined ? {} : { rowKey: Buffer.from(key) }),
    ...(family === undefined ? {} : { familyName: { value: family } }),
    ...(qualifier === undefined ? {} : { qualifier: { value: Buffer.from(qualifier) } }),
    ...(value === undefined ? {} : { value: Buffer.from(value) }),
    ...rest,
  };
};

describe('rows in answers of ReadRows', () => {
  it('take what a chunk leaves out from the one before', () => {
    const message = messageOf([
      chunk({ key: 'r1', family: 'f', qualifier: 'a', value: '1', timestampMicros: 5 }),
      chunk({ qualifier: 'b', value: '2' }),
      chunk({ family: 'g', qualifier: '', value: '', commitRow: true }),
      chunk({ key: 'r2', family: 'f', qualifier: 'a\0b', value: '3', labels: ['x'], commitRow: true }),
    ]);
    expect(decode([message])).to.deep.equal([
      {
        key: 'r1',
        cells: [
          ['f', 'a', '1'],
          ['f', 'b', '2'],
          ['g', '', ''],
        ],
      },
      { key: 'r2', cells: [['f', 'a\0b', '3']] },
    ]);
  });

  it('are put together from several messages, their values too', () => {
    const messages = [
      messageOf([chunk({ key: 'r', family: 'f', qualifier: 'a', value: 'one ', valueSize: 11 })]),
      messageOf([chunk({ value: 'two ', valueSize: 11 })], { lastScannedRowKey: Buffer.from('q') }),
      messageOf([chunk({ value: 'end' }), chunk({ qualifier: 'b', value: 'x' })]),
      messageOf([chunk({ commitRow: true })]),
    ];
    expect(decode(messages)).to.deep.equal([
      {
        key: 'r',
        cells: [
          ['f', 'a', 'one two end'],
          ['f', 'b', 'x'],
        ],
      },
    ]);
  });

  it('begin anew after a reset', () => {
    const message = messageOf([
      chunk({ key: 'r', family: 'f', qualifier: 'a', value: '1' }),
      chunk({ qualifier: 'b', value: 'part', valueSize: 9 }),
      chunk({ resetRow: true }),
      chunk({ key: 'r', family: 'f', qualifier: 'a', value: '2', commitRow: true }),
    ]);
    expect(decode([message])).to.deep.equal([{ key: 'r', cells: [['f', 'a', '2']] }]);
  });

  it('keep texts byte for byte', () => {
    const bytes = Buffer.from([0x61, 0xff, 0x00, 0xc3, 0xa9]);
    const long = Buffer.concat([Buffer.alloc(300, 0x78), bytes]);
    const message = messageOf([
      { ...chunk({ key: 'r', family: 'f' }), qualifier: { value: bytes }, value: long, commitRow: true },
    ]);
    const [row] = decode([message]);
    expect(row?.cells).to.deep.equal([['f', 'a\udcff\0é', `${'x'.repeat(300)}a\udcff\0é`]]);
  });

  it('are what was encoded, whatever the rows and wherever they are cut', () => {
    const cell = fc.tuple(fc.constantFrom('f', 'g'), fc.string(), fc.string({ maxLength: 400 }));
    const rows = fc.array(fc.tuple(fc.string({ minLength: 1 }), fc.array(cell, { minLength: 1 })));
    fc.assert(
      fc.property(rows, fc.integer({ min: 1, max: 5 }), (given, chunksMax) => {
        const chunks = given.flatMap(([key, cells]) =>
          cells.map(([family, qualifier, value], index) =>
            chunk({
              ...(index === 0 ? { key } : {}),
              family,
              qualifier,
              value,
              commitRow: index === cells.length - 1,
            }),
          ),
        );
        const messages: Buffer[] = [];
        for (let first = 0; first < chunks.length; first += 7) messages.push(messageOf(chunks.slice(first, first + 7)));
        const expected = given.map(([key, cells]) => ({ key: Buffer.from(key).toString('latin1'), cells }));
        expect(decode(messages, chunksMax)).to.deep.equal(expected);
      }),
      { numRuns: propertyRuns(10) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('fail when they are cut off', () => {
    const message = messageOf([chunk({ key: 'r', family: 'f', qualifier: 'a', value: 'value', commitRow: true })]);
    for (let end = 1; end < message.length; end++) {
      expect(() => decode([message.subarray(0, end)]), `${end}`).to.throw('a malformed answer');
    }
  });
});
