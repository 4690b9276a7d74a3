import { readdirSync, readlinkSync } from 'node:fs';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { type ChunkView, decodeChunk } from '../../../src/chunk/chunk-object.ts';
import { CorruptChunkError } from '../../../src/chunk/corrupt-chunk-error.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { fileForPart } from '../../../src/query/fetch-chunk.ts';
import type { QueryRequest, QueryResult } from '../../../src/query/query-messages.ts';
import { ChunkFiles } from '../../../src/query/scan/chunk-files.ts';
import type { ChunkFile } from '../../../src/query/scan/scan-messages.ts';
import { FileChunkStore } from '../../../src/storage/file-chunk-store.ts';
import { chunkFixtures } from '../chunk/chunk-fixtures.ts';
import { answerOf } from './query-answers.ts';
import { inThreadPool } from './scan-pools.ts';
import { BLOCKS, holding, type StoredChunk, storedChunk, within } from './stored-chunk.ts';
import { at, BASE_NS, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf, type TestStream } from './test-sources.ts';

describe('chunk files', () => {
  let folder: string;
  let store: FileChunkStore;
  let files: ChunkFiles;

  beforeEach(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-chunks-'));
    store = await FileChunkStore.open(folder);
    files = new ChunkFiles();
  });

  afterEach(async () => {
    files.close();
    await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  const fileOf = ({ key, checksum }: Pick<StoredChunk, 'key' | 'checksum'>): ChunkFile => ({
    key,
    checksum,
    path: store.fileOf(key),
  });

  /** Descriptors of this process below the folder. */
  const openCount = (): number =>
    readdirSync('/proc/self/fd').filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).startsWith(folder);
      } catch {
        return false;
      }
    }).length;

  const damage = async (file: string, place: number): Promise<void> => {
    const bytes = await readFile(file);
    bytes[place]! ^= 0x10;
    await writeFile(file, bytes);
  };

  /** What the view says without its blocks. */
  const outlineOf = (view: ChunkView): unknown => [
    view.tenant,
    view.fingerprint,
    view.labels,
    view.encoding,
    view.version,
    view.blocks,
    view.hasMetadata,
    view.symbols(),
  ];

  for (const version of [3, 4] as const) {
    it(`have what the object has: version ${version}`, async () => {
      const ref = await storedChunk(store, 'gzip', version);
      const whole = decodeChunk(ref.bytes);
      for (const wantsSkipFilters of [true, false]) {
        const view = files.open(fileOf(ref), wantsSkipFilters);
        expect(outlineOf(view)).to.deep.equal(outlineOf(whole));
        for (const index of view.blocks.keys()) {
          if (wantsSkipFilters) expect(view.skipFilter(index)).to.deep.equal(whole.skipFilter(index));
          expect(view.inflateBlock(index).equals(whole.inflateBlock(index)), `block ${index}`).to.equal(true);
        }
      }
    });
  }

  it('are read where and when something of them is wanted', async () => {
    const ref = await storedChunk(store);
    const view = files.open(fileOf(ref), true);
    const spans = [...view.blocks.keys()].map((index) => view.blockSpan(index));
    await damage(store.fileOf(ref.key), spans[2]!.start + 1000);
    expect(view.inflateBlock(3).includes('needle 3 ')).to.equal(true);
    expect(() => view.inflateBlock(2)).to.throw(CorruptChunkError, 'block 2');
  });

  it('keep their labels and blocks when others are opened', async () => {
    const ref = await storedChunk(store, 'gzip', 4);
    const first = files.open(fileOf(ref), true);
    const said = outlineOf(decodeChunk(ref.bytes));
    const other = await storedChunk(store, 'zstd', 4);
    files.open(fileOf(other), true);
    expect(outlineOf(first)).to.deep.equal(said);
    expect(first.inflateBlock(7).includes('needle 7 ')).to.equal(true);
  });

  it('are open until the task is done', async () => {
    const ref = await storedChunk(store);
    files.open(fileOf(ref), true);
    files.open(fileOf(ref), false);
    expect(openCount()).to.equal(2);
    files.close();
    expect(openCount()).to.equal(0);
  });

  it('are read as Loki wrote them', async () => {
    for (const { bytes, checksum_hex: checksum, name } of chunkFixtures) {
      await store.put(name, bytes);
      const view = files.open(fileOf({ key: name, checksum: Number.parseInt(checksum, 16) }), true);
      expect(outlineOf(view), name).to.deep.equal(outlineOf(decodeChunk(bytes)));
    }
  });

  it('are read whole if their ends do not fit, and refused if that is not of the checksum either', async () => {
    const ref = await storedChunk(store);
    const file = fileOf(ref);
    const places = [0, 5, 100, ref.bytes.length - 40, ref.bytes.length - 1];
    for (const place of places) {
      await damage(file.path, place);
      expect(() => files.open(file, true), `byte ${place}`).to.throw(CorruptChunkError, 'checksum');
      await damage(file.path, place);
    }
    for (const size of [0, 1, 7, 5000, 150_000, ref.bytes.length - 1]) {
      await writeFile(file.path, ref.bytes);
      await truncate(file.path, size);
      expect(() => files.open(file, true), `${size} bytes`).to.throw(CorruptChunkError, 'checksum');
    }
    await writeFile(file.path, ref.bytes);
    expect(files.open(file, true).blocks).to.have.length(BLOCKS);
  });

  it('are refused by name if they are not there, or no files', async () => {
    const ref = await storedChunk(store);
    const file = fileOf(ref);
    await rm(file.path);
    for (const wanted of [file, { ...file, path: `${file.path}/below` }, { ...file, path: folder }]) {
      const opening = (): unknown => files.open(wanted, true);
      expect(opening).to.throw(RefusedError, `chunk ${ref.key} cannot be read: the index names it`);
    }
    const unreadable = { ...file, path: '\0' };
    expect(() => files.open(unreadable, true)).to.throw(RefusedError, `cannot read chunk ${ref.key}: `);
  });

  it('are refused by name if they end too early while they are read', async () => {
    const ref = await storedChunk(store);
    const view = files.open(fileOf(ref), true);
    const { end } = view.blockSpan(2);
    await truncate(store.fileOf(ref.key), end - 1);
    expect(() => view.inflateBlock(2)).to.throw(
      RefusedError,
      `cannot read chunk ${ref.key}: file ends after ${end - 1} bytes`,
    );
    expect(view.inflateBlock(1).includes('needle 1 ')).to.equal(true);
  });

  it('are for threads to read where little of a chunk is wanted', async () => {
    const ref = await storedChunk(store);
    expect(fileForPart(store, ref, holding('needle'))).to.deep.equal(fileOf(ref));
    expect(fileForPart(store, ref, within(4, 7))).to.deep.equal(fileOf(ref));
    expect(fileForPart(store, ref, within(0, 24))).to.equal(undefined);
    const elsewhere = { get: store.get.bind(store), getRange: store.getRange.bind(store) };
    expect(fileForPart(elsewhere, ref, holding('needle'))).to.equal(undefined);
  });

  describe('in queries', () => {
    const STREAMS = 40;
    const LIMIT = 150;
    const FILLER = Array.from({ length: 700 }, (_, index) => `filler ${Math.imul(index, 0x9e3779b1)} `.repeat(20));

    /** Of each stream a chunk of four blocks; one line in seven is an error. Chunks of the first four are large enough to be read in parts. */
    const streams = Array.from(
      { length: STREAMS },
      (_, stream): TestStream => ({
        labels: { app: `app ${stream}` },
        stored: [
          segmentOf(
            [0, 1, 2, 3].map((block) =>
              FILLER.slice(0, stream < 4 ? FILLER.length : 30).map((line, index) =>
                at(10_000 * block + 13 * index + stream, index % 7 === 0 ? `error ${stream} ${line}` : line),
              ),
            ),
          ),
        ],
      }),
    );

    /** The answer without how it came about, and its tasks. */
    const answered = async (request: QueryRequest, isFile: boolean): Promise<{ said: unknown; tasks: number }> => {
      const sources = sourcesOf(streams);
      for (const [key, bytes] of sources.objects) if (isFile) await store.put(key, bytes);
      const chunks = isFile ? store : sources.stored.chunks;
      const pool = inThreadPool();
      const result = await answerOf(request, { ...sources, stored: { ...sources.stored, chunks } }, pool);
      return { said: saidBy(result), tasks: pool.tasks.length };
    };

    const saidBy = ({
      statistics: { blocksSkipped, linesProcessed, entriesReturned },
      ...said
    }: QueryResult): unknown => {
      // How far it is read beyond a limit depends on what came first.
      const isWhole = entriesReturned !== LIMIT;
      return { ...said, entriesReturned, ...(isWhole && { blocksSkipped, linesProcessed }) };
    };

    const END = { startNs: BASE_NS + 1_000_000n, endNs: BASE_NS + 1_000_000n };

    for (const [name, request] of [
      ['nothing', requestOf('{app=~".+"} |= "no such needle"')],
      ['lines of one stream', requestOf('{app=~".+"} |= "error 17 "')],
      ['the newest lines of all', requestOf('{app=~".+"} |= "error"', { direction: 'backward', limit: LIMIT })],
      ['every line', requestOf('{app=~".+"} |= "error"', { limit: 20_000 })],
      ['a short time', requestOf('{app=~".+"}', { startNs: BASE_NS + 10_000n, endNs: BASE_NS + 10_500n })],
      ['a count', requestOf('sum by (app) (count_over_time({app=~".+"} |= "error 2" [1s]))', END)],
    ] as const) {
      it(`give the answers that objects give: ${name}`, async () => {
        const [ofFiles, ofObjects] = [await answered(request, true), await answered(request, false)];
        expect(ofFiles.said).to.deep.equal(ofObjects.said);
      });
    }

    it('go into few tasks where filters are looked at first', async () => {
      const request = requestOf('{app=~".+"} |= "no such needle"');
      expect((await answered(request, true)).tasks).to.equal(STREAMS / 8);
      expect((await answered(request, false)).tasks, 'objects are read whole').to.be.above(STREAMS / 2);
    });

    it('name the one that cannot be read', async () => {
      const sources = sourcesOf(streams);
      for (const [key, bytes] of sources.objects) await store.put(key, bytes);
      const [key = ''] = [...sources.objects.keys()].slice(5);
      await store.delete(key);
      const stored = { ...sources.stored, chunks: store };
      const refused = await answerOf(requestOf('{app=~".+"} |= "error"'), { ...sources, stored }).catch(
        (error: unknown) => error,
      );
      expect(refused).to.be.instanceOf(RefusedError);
      expect((refused as RefusedError).message).to.include(key);
    });
  });
});
