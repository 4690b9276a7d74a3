import { expect } from 'chai';
import fc from 'fast-check';
import { chunkKey, formatChunkKey, parseChunkKey } from '../../../src/storage/chunk-key.ts';
import { createSchemaConfig, SCHEMA_VERSIONS } from '../../../src/storage/schema-config.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { recordedChunks } from '../../support/stores/loki-fixtures.ts';

describe('chunk keys', () => {
  it('are those of the recorded chunks, in both forms and back', () => {
    for (const chunk of recordedChunks()) {
      const identity = {
        tenant: chunk.tenant,
        fingerprint: BigInt(chunk.fingerprint_dec),
        fromMs: chunk.from_ms,
        throughMs: chunk.through_ms,
        checksum: Number.parseInt(chunk.checksum_hex, 16),
      };
      for (const schema of ['v9', 'v10', 'v11'] as const) {
        expect(formatChunkKey(schema, identity)).to.equal(chunk.key_v11);
      }
      expect(parseChunkKey(chunk.key_v11)).to.deep.equal({ key: chunk.key_v11, ...identity });
      if (chunk.key_v12) {
        for (const schema of ['v12', 'v13'] as const) {
          expect(formatChunkKey(schema, identity)).to.equal(chunk.key_v12);
        }
        expect(parseChunkKey(chunk.key_v12)).to.deep.equal({ key: chunk.key_v12, ...identity });
      }
    }
  });

  it('take the form of the period that holds the first ms', () => {
    const common = { prefix: 'index_', periodHours: 168, rowShards: 16 };
    const config = createSchemaConfig([
      { from: '2023-03-01', schema: 'v11', ...common },
      { from: '2023-04-12', schema: 'v12', ...common },
    ]);
    const change = Date.UTC(2023, 3, 12);
    const chunk = { tenant: 't', fingerprint: 0x1fn, throughMs: change + 1, checksum: 0x0a };
    expect(chunkKey(config, { ...chunk, fromMs: change - 1 })).to.equal('t/1f:18772c313ff:18772c31401:a');
    expect(chunkKey(config, { ...chunk, fromMs: change })).to.equal('t/1f/18772c31400:18772c31401:a');
  });

  it('write times before 1970 with a minus sign', () => {
    const chunk = { tenant: 't', fingerprint: 1n, fromMs: -31, throughMs: -1, checksum: 0xffff_ffff };
    expect(formatChunkKey('v11', chunk)).to.equal('t/1:-1f:-1:ffffffff');
  });

  it('read back as what they were made of', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const identities = fc.record({
      tenant: fc.stringMatching(/^[A-Za-z0-9!_.*'()-]+$/),
      fingerprint: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fromMs: fc.maxSafeInteger(),
      throughMs: fc.maxSafeInteger(),
      checksum: fc.nat(0xffff_ffff),
    });
    fc.assert(
      fc.property(identities, fc.constantFrom(...SCHEMA_VERSIONS), (identity, schema) => {
        const key = formatChunkKey(schema, identity);
        expect(parseChunkKey(key)).to.deep.equal({ key, ...identity });
      }),
      { numRuns: propertyRuns(2) },
    );
  });

  for (const key of [
    '',
    't',
    't/1:2:3',
    't/1/2:3',
    't/1/2/3:4',
    'a/b/1/2:3:4',
    't/1:2:3:4:5',
    't/g:2:3:4',
    't/1F:2:3:4',
    't/-1:2:3:4',
    't/1:2:3:-4',
    't/1:2:3:123456789',
    't/11111111111111111:2:3:4',
    't/1:ffffffffffffff:3:4',
    't/1:2:3:4\n',
    't/1:0x2:3:4',
  ]) {
    it(`are no keys: ${JSON.stringify(key)}`, () => {
      expect(parseChunkKey(key)).to.equal(undefined);
    });
  }
});
