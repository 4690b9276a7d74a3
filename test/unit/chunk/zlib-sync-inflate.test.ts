import zlib from 'node:zlib';
import { expect } from 'chai';
import { FlushedInflater, isZlibSyncLoaded } from '../../../src/chunk/zlib-sync-inflate.ts';
import { seededRandom } from '../../support/corpus.ts';

const flushed = (plain: Uint8Array, options: zlib.ZlibOptions = {}): Buffer =>
  zlib.deflateRawSync(plain, { ...options, finishFlush: zlib.constants.Z_FULL_FLUSH });

const block = (n: number): Buffer => Buffer.from(`block ${n} `.repeat(1 + ((n * 37) % 4000)));

/** What the engine answers where the library could not be compiled: node:zlib reads everything then. */
const expected = (plain: Buffer | undefined): Buffer | undefined => (isZlibSyncLoaded() ? plain : undefined);

describe('inflating through one zlib-sync state', () => {
  it('reads block after block, of any size and level', () => {
    const inflater = new FlushedInflater();
    for (let n = 0; n < 300; n += 1) {
      const plain = block(n);
      expect(inflater.inflate(flushed(plain, { level: n % 10 }), plain.length)).to.deep.equal(expected(plain));
    }
  });

  it('hands out copies', () => {
    const inflater = new FlushedInflater();
    const first = inflater.inflate(flushed(block(1)), block(1).length);
    inflater.inflate(flushed(block(2)), block(2).length);
    expect(first).to.deep.equal(expected(block(1)));
  });

  it('goes on after a block that is corrupt, cut short, or not as long as it should be', () => {
    const inflater = new FlushedInflater();
    const good = flushed(block(7));
    const corrupt = Buffer.from(good);
    corrupt.fill(0xff, 0, 8);
    for (const bad of [corrupt, good.subarray(0, good.length >> 1), Buffer.alloc(0)]) {
      expect(inflater.inflate(bad, block(7).length)).to.equal(undefined);
      expect(inflater.inflate(good, block(7).length)).to.deep.equal(expected(block(7)));
    }
    expect(inflater.inflate(good, block(7).length + 1)).to.equal(undefined);
    expect(inflater.inflate(good, block(7).length)).to.deep.equal(expected(block(7)));
  });

  it('does not let a forged block read the text before it', () => {
    const inflater = new FlushedInflater();
    const secret = Buffer.from('the line of another tenant '.repeat(40));
    inflater.inflate(flushed(secret), secret.length);
    // Deflated against a dictionary it does not bring along: whoever has the text behind it could read it.
    const forged = flushed(secret, { dictionary: secret });
    const read = inflater.inflate(forged, secret.length);
    expect(read?.includes('tenant') ?? false).to.equal(false);
  });

  it('leaves what could grow large to others', () => {
    const inflater = new FlushedInflater();
    expect(inflater.inflate(flushed(Buffer.alloc(2 << 20)), 2 << 20)).to.equal(undefined);
    const random = seededRandom(1);
    const noise = Buffer.from(Array.from({ length: 70_000 }, () => 256 * random()));
    expect(inflater.inflate(flushed(noise), noise.length)).to.equal(undefined);
  });

  it('gives up after many corrupt blocks: each costs a state that is never freed', () => {
    const inflater = new FlushedInflater();
    for (let n = 0; n < 64; n += 1) inflater.inflate(Buffer.alloc(16, 0xff), 10);
    expect(inflater.inflate(flushed(block(3)), block(3).length)).to.equal(undefined);
  });
});
