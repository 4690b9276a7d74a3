import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import { compressFrameSync } from 'lz4-napi';
import { compressLz4Frame } from '../../../../src/chunk/lz4-frame.ts';
import { compressZstd, prepareZstd } from '../../../../src/chunk/zstd-codec.ts';
import { decodeOtlpBody, decodeOtlpMessage } from '../../../../src/protocol/otlp/otlp-body.ts';
import { otlpRulesOf } from '../../../../src/protocol/otlp/otlp-rules.ts';
import { encodeExport } from '../../../support/otlp.ts';
import { refusalOf, streamOf } from '../pushes.ts';

const LIMITS = { compressedBytesMax: 2 ** 20, decompressedBytesMax: 2 ** 21 };
const MAPPING = { rules: otlpRulesOf({}), nowMs: 0 };

const LINE = 'GET /api/v1/items?page=3 200 12ms '.repeat(4);
const exportOf = (count: number): Buffer => {
  const records = Array.from({ length: count }, (_, index) => ({ timeNs: BigInt(index + 1), body: `${LINE}${index}` }));
  return encodeExport([{ attributes: { 'service.name': 'shop' }, scopes: [{ records }] }]);
};

const decode = (body: Buffer, contentEncoding: string | undefined, memory?: { take(bytes: number): void }) =>
  decodeOtlpBody(
    { contentType: 'application/x-protobuf', contentEncoding, body, limits: LIMITS, ...(memory ? { memory } : {}) },
    MAPPING,
  );

describe('decodeOtlpBody', () => {
  before(prepareZstd);

  const zstd = (bytes: Buffer): Buffer => compressZstd(bytes, 3);
  /** A frame of one RLE block: 128 KiB of one byte from a few. */
  const bomb = (blocks: number): Buffer => {
    const block = Buffer.from([0x02, 0x00, 0x10, 0x20]);
    const last = Buffer.from([0x03, 0x00, 0x10, 0x20]);
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
    return Buffer.concat([head, ...Array.from({ length: blocks - 1 }, () => block), last]);
  };

  for (const [name, packed] of [
    ['gzip', (bytes: Buffer) => gzipSync(bytes)],
    ['zstd', zstd],
    ['lz4', (bytes: Buffer) => compressLz4Frame(bytes, 64 << 10)],
  ] as const) {
    it(`reads ${name}, of one block and of many`, async () => {
      for (const count of [1, 8000]) {
        const plain = exportOf(count);
        let taken = 0;
        const { streams } = await decode(packed(plain), name, { take: (bytes) => (taken += bytes) });
        const [stream] = streams.map(streamOf);
        expect(stream?.labels).to.equal('{service_name="shop"}');
        expect(stream?.entries).to.have.length(count);
        expect(Buffer.from(stream?.entries[count - 1]?.line ?? []).toString()).to.equal(`${LINE}${count - 1}`);
        expect(taken).to.be.at.least(plain.length);
      }
    });

    it(`refuses ${name} that is cut short, or is something else`, async () => {
      const whole = packed(exportOf(100));
      for (const body of [
        whole.subarray(0, -3),
        whole.subarray(0, 7),
        Buffer.from('something else'),
        Buffer.alloc(0),
      ]) {
        expect(await refusalOf(() => decode(Buffer.from(body), name))).to.match(/^BAD_REQUEST: /);
      }
    });

    it(`refuses ${name} that becomes too large`, async () => {
      const body = packed(Buffer.alloc(LIMITS.decompressedBytesMax + 1));
      expect(await refusalOf(() => decode(body, name))).to.match(/^BAD_REQUEST: .*(too large|more than)/);
    });
  }

  it('reads several zstd frames, one with a checksum, and passes over skippable ones', async () => {
    const plain = exportOf(3000);
    const skippable = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
    // One stored block of 100 bytes, whose size the header tells, and four bytes of checksum.
    const head = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x24, 100, 0x21, 0x03, 0x00]);
    const checked = Buffer.concat([head, plain.subarray(0, 100), Buffer.from([1, 2, 3, 4])]);
    const body = Buffer.concat([checked, zstd(plain.subarray(100, 1000)), skippable, zstd(plain.subarray(1000))]);
    expect((await decode(body, 'zstd')).streams[0]?.end).to.equal(3000);
  });

  it('stops a zstd bomb at the bound', async () => {
    let taken = 0;
    const text = await refusalOf(() => decode(bomb(10_000), 'zstd', { take: (bytes) => (taken += bytes) }));
    expect(text).to.match(/^BAD_REQUEST: decompressed message size too large/);
    expect(taken).to.be.below(2 * LIMITS.decompressedBytesMax + 2 ** 22);
  });

  it('refuses a zstd window that is too large before it is taken', async () => {
    const body = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 1, 0, 0]);
    expect(await refusalOf(() => decode(body, 'zstd'))).to.match(/^BAD_REQUEST: zstd: window size \d+ too large/);
  });

  it('reads LZ4 as other libraries write it', async () => {
    const body = compressFrameSync(exportOf(1000), { contentChecksum: true, blockChecksums: true });
    expect((await decode(body, 'lz4')).streams[0]?.end).to.equal(1000);
  });

  it('refuses a body over the limit, and an export without records', async () => {
    expect(await refusalOf(() => decode(Buffer.alloc(2 ** 20 + 1), undefined))).to.match(/^TOO_LARGE: /);
    expect(await refusalOf(() => decode(exportOf(0), undefined))).to.match(/^EMPTY_PUSH: /);
  });

  it('takes a message without records over gRPC, as OTLP has it', async () => {
    expect((await decodeOtlpMessage({ body: exportOf(0), limits: LIMITS }, MAPPING)).streams).to.deep.equal([]);
  });
});
