import { expect } from 'chai';
import fc from 'fast-check';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';

const keyOf = (fingerprint: bigint, fromMs: number, throughMs = fromMs + 1, checksum = 0): string =>
  formatChunkKey('v13', { tenant: 't', fingerprint, fromMs, throughMs, checksum });

describe('the chunks a selector found', () => {
  it('are given back as they were added, each once, by stream and in order of time', async () => {
    const chunk = fc.record({
      schema: fc.constantFrom('v11' as const, 'v13' as const),
      fingerprint: fc.constantFrom(0n, 7n, 2n ** 32n, 2n ** 64n - 1n),
      fromMs: fc.integer({ min: -100, max: 100 }),
      length: fc.nat(10),
      checksum: fc.constantFrom(0, 1, 0xffff_ffff),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 60 }), async (given) => {
        const keys = given.map(({ schema, fingerprint, fromMs, length, checksum }) =>
          formatChunkKey(schema, { tenant: 't', fingerprint, fromMs, throughMs: fromMs + length, checksum }),
        );
        const refs = await chunkRefsOf('t', keys);
        expect(Array.from(refs, ({ key }) => key).sort()).to.deep.equal([...new Set(keys)].sort());
        expect(refs.count).to.equal(new Set(keys).size);
        for (const stream of refs.streams()) {
          const own = [...stream];
          expect(own.every(({ fingerprint }) => fingerprint === stream.fingerprint)).to.equal(true);
          const times = own.map(({ fromMs }) => fromMs);
          expect(times).to.deep.equal([...times].sort((a, b) => a - b));
        }
      }),
      { numRuns: propertyRuns(10) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);

  it('keep keys that nobody would write so', async () => {
    const keys = ['t/07/2:3:4', 't/7/02:3:4', 't/7/-0:3:4', 't/7/2:3:04', 't/7/2:3:4', 't/7:2:3:4'];
    const refs = await chunkRefsOf('t', [...keys, ...keys]);
    expect(Array.from(refs, ({ key }) => key).sort()).to.deep.equal([...keys].sort());
    expect(refs.count).to.equal(keys.length);
  });

  it('are found by stream, with the time from the first to the last that overlaps a range', async () => {
    const refs = await chunkRefsOf('t', [keyOf(1n, 10, 20), keyOf(2n, 0), keyOf(1n, 40, 50), keyOf(1n, 15, 18)]);
    const stream = refs.ofStream(1n);
    expect(stream?.span({ fromMs: 0, throughMs: 100 })).to.deep.equal({ fromMs: 10, throughMs: 50 });
    expect(stream?.span({ fromMs: 19, throughMs: 39 })).to.deep.equal({ fromMs: 10, throughMs: 20 });
    expect(stream?.span({ fromMs: 21, throughMs: 39 })).to.equal(undefined);
    expect(refs.ofStream(3n)).to.equal(undefined);
  });

  it('are 10,000 over several blocks of columns', async () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => keyOf(BigInt(index % 3), index, index + 1, index));
    const refs = await chunkRefsOf('t', keys);
    expect(refs.count).to.equal(keys.length);
    expect(new Set(Array.from(refs, ({ key }) => key))).to.deep.equal(new Set(keys));
  });
});
