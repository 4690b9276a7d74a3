import protos from '@google-cloud/bigtable/build/protos/protos.js';
import { expect } from 'chai';
import fc from 'fast-check';
import { decodeOutcomes, encodeMutateRows } from '../../../src/storage/bigtable-mutate-message.ts';
import type { BigtableError } from '../../../src/storage/bigtable-status.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const { v2 } = protos.google.bigtable;

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const mutation = fc.record({
  family: fc.constantFrom('f', 'c', 'family'),
  qualifier: bytes,
  value: fc.option(bytes, { nil: undefined }),
});
const entry = fc.record({ rowKey: bytes, mutations: fc.array(mutation) });

describe('messages of MutateRows', () => {
  it("are what Google's package reads, whatever the rows and cells", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('', 'single'), fc.array(entry), (table, profile, entries) => {
        const message = encodeMutateRows(table, profile, entries);
        const expected = {
          tableName: table,
          appProfileId: profile,
          entries: entries.map(({ rowKey, mutations }) => ({
            rowKey,
            mutations: mutations.map(({ family: familyName, qualifier: columnQualifier, value }) =>
              value === undefined
                ? { deleteFromColumn: { familyName, columnQualifier } }
                : { setCell: { familyName, columnQualifier, value, timestampMicros: 0 } },
            ),
          })),
        };
        // By way of its own encoder, which leaves nothing out: unset and empty are the same then.
        const again = v2.MutateRowsRequest.encode(v2.MutateRowsRequest.decode(message)).finish();
        const theirs = v2.MutateRowsRequest.encode(
          v2.MutateRowsRequest.decode(v2.MutateRowsRequest.encode(expected).finish()),
        ).finish();
        expect(v2.MutateRowsRequest.toObject(v2.MutateRowsRequest.decode(again), { defaults: true })).to.deep.equal(
          v2.MutateRowsRequest.toObject(v2.MutateRowsRequest.decode(theirs), { defaults: true }),
        );
      }),
      { numRuns: propertyRuns(10) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('take large values and many rows', () => {
    const entries = Array.from({ length: 300 }, (_, row) => ({
      rowKey: Buffer.from(`row${row}`),
      mutations: [{ family: 'f', qualifier: Buffer.from('q'), value: Buffer.alloc(row === 7 ? 3 << 20 : row, row) }],
    }));
    const decoded = v2.MutateRowsRequest.decode(encodeMutateRows('t', '', entries));
    expect(decoded.entries.length).to.equal(300);
    for (const [row, { rowKey, mutations }] of decoded.entries.entries()) {
      expect(Buffer.from(rowKey as Uint8Array).toString()).to.equal(`row${row}`);
      expect(Buffer.compare(mutations?.[0]?.setCell?.value as Buffer, entries[row]!.mutations[0]!.value)).to.equal(0);
    }
  });

  it('say of each row what became of it', () => {
    const outcomes = new Map<number, BigtableError | undefined>();
    const answer = (entries: object[]) => Buffer.from(v2.MutateRowsResponse.encode({ entries }).finish());
    decodeOutcomes(answer([{ index: 0, status: { code: 0 } }, { index: 300, status: {} }, { index: 2 }]), outcomes);
    decodeOutcomes(answer([{ index: 1, status: { code: 14, message: 'away', details: [] } }]), outcomes);
    expect([...outcomes.keys()]).to.deep.equal([0, 300, 2, 1]);
    expect([0, 300, 2].map((index) => outcomes.get(index))).to.deep.equal([undefined, undefined, undefined]);
    expect(outcomes.get(1)).to.include({ code: 14, message: 'away' });
  });
});
