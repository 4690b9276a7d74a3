import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import fc from 'fast-check';
import snappy from 'snappy';
import { ByteBudget, InflatedBytes } from '../../../src/http/request-body.ts';
import { LargeBodies } from '../../../src/protocol/large-bodies.ts';
import { encodePushRequest } from '../../../src/protocol/logproto.ts';
import { mediaTypeOf } from '../../../src/protocol/media-type.ts';
import { decodePushBody, decodePushMessage } from '../../../src/protocol/push-body.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { ManualClock } from '../../support/clock.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { bytes, refusalOf, streamOf } from './pushes.ts';

const MIB = 1024 * 1024;
const LIMITS = { compressedBytesMax: MIB, decompressedBytesMax: 8 * MIB };
const PROTOBUF = 'application/x-protobuf';
const JSON_TYPE = 'application/json';

const request = (line = 'one', count = 1): Buffer =>
  encodePushRequest({ streams: [{ labels: '{a="b"}', entries: new Array(count).fill({ timeNs: 1n, line }) }] });
const block = (body: Uint8Array): Buffer => snappy.compressSync(body as Buffer) as Buffer;
const json = Buffer.from('{"streams":[{"stream":{"a":"b"},"values":[["1","one"]]}]}');
const decode = (body: Uint8Array, contentType: string | undefined, contentEncoding?: string) =>
  decodePushBody({ contentType, contentEncoding, body: Buffer.from(body), limits: LIMITS });
const withWrongChecksum = (gzip: Buffer): Buffer => gzip.fill(0, gzip.length - 8, gzip.length - 4);
const ONE = [{ labels: '{a="b"}', entries: [{ timeNs: 1n, line: bytes('one') }] }];

describe('decodePushBody', () => {
  const accepted: readonly (readonly [string, Uint8Array, string, string?])[] = [
    ['snappy and protobuf', block(request()), PROTOBUF],
    ['the same under any other content type', block(request()), 'text/plain; charset=utf-8'],
    ['the same with the encoding named', block(request()), PROTOBUF, 'snappy'],
    ['gzip around snappy', gzipSync(block(request())), PROTOBUF, 'gzip'],
    ['raw deflate around snappy', deflateRawSync(block(request())), PROTOBUF, 'deflate'],
    ['JSON', json, JSON_TYPE],
    ['JSON under a type in capitals with a parameter', json, 'Application/JSON; charset="utf-8"'],
    ['gzip around JSON', gzipSync(json), JSON_TYPE, 'gzip'],
    ['raw deflate around JSON', deflateRawSync(json), JSON_TYPE, 'deflate'],
    ['JSON that is said to be snappy', json, JSON_TYPE, 'snappy'],
  ];
  for (const [name, body, contentType, contentEncoding] of accepted) {
    it(`reads ${name}`, async () => {
      expect((await decode(body, contentType, contentEncoding)).streams.map(streamOf)).to.deep.equal(ONE);
    });
  }

  const refused: readonly (readonly [string, Uint8Array, string | undefined, string | undefined, string])[] = [
    ['no content type', block(request()), undefined, undefined, 'mime: no media type'],
    ['an unknown encoding', json, JSON_TYPE, 'br', 'Content-Encoding "br" not supported'],
    ['zlib in place of raw deflate', deflateSync(json), JSON_TYPE, 'deflate', 'EOF'],
    ['what is not gzip', json, JSON_TYPE, 'gzip', 'gzip: invalid header'],
    ['an empty gzip body', Buffer.alloc(0), JSON_TYPE, 'gzip', 'EOF'],
    ['gzip cut off', gzipSync(json).subarray(0, 30), JSON_TYPE, 'gzip', 'unexpected EOF'],
    ['gzip with a wrong checksum', withWrongChecksum(gzipSync(json)), JSON_TYPE, 'gzip', 'gzip: invalid checksum'],
    ['gzip around bare protobuf', gzipSync(request()), PROTOBUF, 'gzip', 'snappy: corrupt input'],
    ['an empty body', Buffer.alloc(0), PROTOBUF, undefined, 'snappy: corrupt input'],
    ['bare protobuf', request(), PROTOBUF, undefined, 'snappy: corrupt input'],
    ['framed snappy', Buffer.from('\xff\x06\x00\x00sNaPpY', 'latin1'), PROTOBUF, undefined, 'snappy: corrupt input'],
    ['snappy cut off', block(request('x'.repeat(99))).subarray(0, -1), PROTOBUF, undefined, 'snappy: corrupt input'],
    ['protobuf cut off', block(request().subarray(0, -1)), PROTOBUF, undefined, 'unexpected EOF'],
  ];
  for (const [name, body, contentType, contentEncoding, text] of refused) {
    it(`refuses ${name}`, async () => {
      expect(await refusalOf(() => decode(body, contentType, contentEncoding))).to.equal(`BAD_REQUEST: ${text}`);
    });
  }

  it('refuses a push without streams', async () => {
    const text = 'EMPTY_PUSH: error at least one valid stream is required for ingestion';
    expect(await refusalOf(() => decode(block(Buffer.alloc(0)), PROTOBUF))).to.equal(text);
    expect(await refusalOf(() => decode(Buffer.from('{}'), JSON_TYPE))).to.equal(text);
  });

  it('refuses a compressed body over the limit', async () => {
    expect(await refusalOf(() => decode(Buffer.alloc(MIB + 1), PROTOBUF))).to.equal(
      'TOO_LARGE: request body too large: message size too large than max (1048577 vs 1048576)',
    );
  });

  it('refuses a snappy block over the limit by the length it gives, unread', async () => {
    const bomb = block(request('x'.repeat(8 * MIB)));
    expect(await refusalOf(() => decode(bomb, PROTOBUF))).to.match(
      /^BAD_REQUEST: decompressed message size too large than max \(838\d{4} vs 8388608\)$/,
    );
  });

  it('refuses a snappy length that the block cannot hold, without allocating it', async () => {
    const lie = Buffer.from([0x80, 0x80, 0x80, 0x03, 0x00, 0x41]);
    expect(await refusalOf(() => decode(lie, PROTOBUF))).to.equal('BAD_REQUEST: snappy: corrupt input');
  });

  for (const [encoding, compress] of [
    ['gzip', gzipSync],
    ['deflate', deflateRawSync],
  ] as const) {
    it(`stops inflating a ${encoding} bomb at the limit`, async () => {
      const bomb = compress(Buffer.alloc(64 * MIB, ' '));
      expect(bomb.length).to.be.below(LIMITS.compressedBytesMax);
      expect(await refusalOf(() => decode(bomb, JSON_TYPE, encoding))).to.equal(
        'BAD_REQUEST: decompressed message size too large than max (8388609 vs 8388608)',
      );
    });
  }

  it('reads a large push in several turns of the event loop', async () => {
    const body = block(request('x'.repeat(100), 50_000));
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns += 1;
      if (!isDone) setImmediate(count);
    };
    count();
    const { streams } = await decode(body, PROTOBUF);
    isDone = true;
    expect([streams.length, streams[0]?.end]).to.deep.equal([1, 50_000]);
    expect(turns).to.be.above(4);
  });

  it('gives streams or a refusal for any bytes, type and encoding', async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(json, gzipSync(json), block(request()), gzipSync(block(request()))),
    );
    const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 });
    const property = fc.asyncProperty(
      body,
      changes,
      fc.constantFrom(JSON_TYPE, PROTOBUF, ''),
      fc.constantFrom(undefined, 'gzip', 'deflate', 'snappy', 'x'),
      async (original, flips, type, encoding) => {
        const changed = Buffer.from(original);
        for (const [at, byte] of flips) if (changed.length > 0) changed[at % changed.length] = byte;
        await refusalOf(() => decode(changed, type, encoding));
      },
    );
    await fc.assert(property, { numRuns: propertyRuns(2) });
  }).timeout(PROPERTY_TIMEOUT_MS);
});

/** A body that is refused once decoded, as the bombs are. */
const bomb = gzipSync(Buffer.alloc(7 * MIB));

const inflateWith = (large: LargeBodies, memory: { take(bytes: number): void }) =>
  decodePushBody({
    contentType: JSON_TYPE,
    contentEncoding: 'gzip',
    body: Buffer.from(bomb),
    limits: LIMITS,
    large,
    memory,
  });

describe('decodePushBody, with bodies that become a thousand times their size', () => {
  const options = { countMax: 2, waitMsMax: 5000, retryAfterMs: 1000 };

  it('counts what comes out while it does, and stops when there is no room', async () => {
    let taken = 0;
    const take = (size: number): void => {
      if (taken + size > 2 * MIB) throw new RefusedError({ code: 'OVERLOADED', text: 'full', retryAfterMs: 1000 });
      taken += size;
    };
    const large = new LargeBodies(new ManualClock(), options);
    expect(await refusalOf(() => inflateWith(large, { take }))).to.equal('OVERLOADED: full');
    expect(taken).to.equal(2 * MIB);
  });

  it('counts what a snappy block says it becomes, before it does', async () => {
    const taken: number[] = [];
    const body = block(request('x'.repeat(5 * MIB)));
    const large = new LargeBodies(new ManualClock(), options);
    const memory = { take: (size: number) => taken.push(size) };
    await decodePushBody({ contentType: PROTOBUF, contentEncoding: undefined, body, limits: LIMITS, large, memory });
    expect(taken).to.deep.equal([request('x'.repeat(5 * MIB)).length]);
  });

  it('lets two through at a time, within the budget of all bodies, and leaves nothing counted', async () => {
    const large = new LargeBodies(new ManualClock(), options);
    const budget = new ByteBudget(24 * MIB);
    let usedMax = 0;
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const memory = new InflatedBytes(budget);
        const take = (size: number): void => {
          memory.take(size);
          usedMax = Math.max(usedMax, budget.used);
        };
        const answer = await refusalOf(() => inflateWith(large, { take }));
        memory.release();
        return answer.replace(/:.*/s, '');
      }),
    );
    expect(new Set(answers)).to.deep.equal(new Set(['OVERLOADED', 'BAD_REQUEST']));
    expect(usedMax).to.be.within(14 * MIB, 24 * MIB);
    expect(budget.used).to.equal(0);
    await Promise.all([large.enter(), large.enter()]);
  });

  it('refuses one that waits too long, while it holds little more than what makes it large', async () => {
    const clock = new ManualClock();
    const large = new LargeBodies(clock, options);
    await Promise.all([large.enter(), large.enter()]);
    let taken = 0;
    let isLarge = (): void => undefined;
    const waits = new Promise<void>((resolve) => {
      isLarge = resolve;
    });
    const memory = {
      take: (size: number) => {
        taken += size;
        if (taken > 4 * MIB) isLarge();
      },
    };
    const answer = refusalOf(() => inflateWith(large, memory));
    await waits;
    await clock.advance(5000);
    expect(await answer).to.equal('OVERLOADED: too many large bodies at once');
    expect(taken).to.be.at.most(5 * MIB);
  });
});

describe('decodePushMessage', () => {
  it('reads bare protobuf, and takes no streams for a push of nothing', async () => {
    expect((await decodePushMessage(request(), LIMITS)).streams.map(streamOf)).to.deep.equal(ONE);
    expect((await decodePushMessage(Buffer.alloc(0), LIMITS)).streams).to.deep.equal([]);
  });

  it('refuses what is over the limit or cut off', async () => {
    expect(await refusalOf(() => decodePushMessage(Buffer.alloc(8 * MIB + 1), LIMITS))).to.match(
      /^BAD_REQUEST: decompressed/,
    );
    expect(await refusalOf(() => decodePushMessage(request().subarray(1), LIMITS))).to.match(/^BAD_REQUEST: /);
  });
});

describe('mediaTypeOf', () => {
  it('is the type in lower case without its parameters', () => {
    for (const header of ['application/json', 'Application/JSON; charset=utf-8; q="a;\\"b"', ' application/json ;']) {
      expect(mediaTypeOf(header)).to.equal('application/json');
    }
    expect(mediaTypeOf('text')).to.equal('text');
  });

  const refused: readonly (readonly [string | undefined, string])[] = [
    [undefined, 'mime: no media type'],
    ['', 'mime: no media type'],
    ['; charset=utf-8', 'mime: no media type'],
    ['a b', 'mime: expected slash after first token'],
    ['a/', 'mime: expected token after slash'],
    ['application/json/x; =', 'mime: unexpected content after media subtype'],
    ['application/json; charset', 'mime: invalid media parameter'],
  ];
  for (const [header, text] of refused) {
    it(`refuses ${JSON.stringify(header)}`, async () => {
      expect(await refusalOf(() => mediaTypeOf(header))).to.equal(`BAD_REQUEST: ${text}`);
    });
  }
});
