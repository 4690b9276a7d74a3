import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { GcsChunkStore, type GcsChunkStoreOptions } from '../../../src/storage/gcs-chunk-store.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { eventually } from '../../support/eventually.ts';
import { GcsServer, type GcsServerOptions } from '../../support/gcs/gcs-server.ts';
import { chunkStoreContract, LINE_END_KEY } from '../../support/stores/chunk-store-contract.ts';

/** Without pauses: tests wait for what happens, not for time. */
const DEPS = { clock: systemClock, chance: () => 0 };
const KEY = 'tenant-a/85ad393dc21324c/187702fedd0:187702fedd0:7299a721';

describe('the Cloud Storage chunk store', () => {
  chunkStoreContract(async () => {
    const server = await GcsServer.start();
    return {
      open: () => GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url }, DEPS),
      remove: () => server.close(),
    };
  }, [LINE_END_KEY]);

  describe('over the network', () => {
    let server: GcsServer;
    let store: GcsChunkStore;
    const unhandled: unknown[] = [];
    const onUnhandled = (reason: unknown): void => {
      unhandled.push(reason);
    };

    const opened = async (options: Partial<GcsChunkStoreOptions> = {}): Promise<GcsChunkStore> =>
      await GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url, ...options }, DEPS);

    const reopen = async (options: Partial<GcsChunkStoreOptions>): Promise<void> => {
      await store.close();
      store = await opened(options);
      server.seen.length = 0;
      server.inFlightMax = 0;
    };

    beforeEach(async () => {
      process.on('unhandledRejection', onUnhandled);
      server = await GcsServer.start();
      store = await opened();
      server.seen.length = 0;
    });

    afterEach(async () => {
      await store.close();
      await server.close();
      // Rejections that nobody awaits are told a turn later.
      await new Promise((resolve) => setTimeout(resolve, 10));
      process.off('unhandledRejection', onUnhandled);
      expect(unhandled.splice(0)).to.deep.equal([]);
    });

    describe('puts', () => {
      it('in one request, with a checksum and on the condition that the key is new', async () => {
        await store.put(KEY, Buffer.from('123456789'));
        expect(server.seen.map(({ method, operation }) => `${method} ${operation}`)).to.deep.equal(['POST upload']);
        const query = new URLSearchParams(server.seen[0]?.url.split('?')[1]);
        expect(Object.fromEntries(query)).to.deep.equal({ uploadType: 'multipart', name: KEY, ifGenerationMatch: '0' });
        const stored = server.objects.bucket('chunks').get(KEY);
        expect(stored?.contentEncoding, 'Loki must not inflate it').to.equal(undefined);
      });

      it('has its checksum compared by the service: bytes that change on their way are sent again', async () => {
        const bytes = Buffer.from('123456789');
        server.faults.add({ operation: 'upload', status: 400 });
        await store.put(KEY, bytes);
        expect(server.count('upload')).to.equal(2);
        const changing = Buffer.alloc(1 << 20, 'a');
        const put = store.put(`${KEY}0`, changing);
        changing.fill('b');
        const error = await refusal(put);
        expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
        expect(error.message).to.match(/^cannot write a chunk to bucket chunks: 400 Provided CRC32C .*\(6 attempts\)$/);
        expect(server.objects.bucket('chunks').has(`${KEY}0`)).to.equal(false);
      });

      it('once, though the answer was lost after the effect', async () => {
        server.faults.add({ operation: 'upload', drop: 'after' });
        await store.put(KEY, Buffer.from('once'));
        expect(server.seen.map(({ operation }) => operation)).to.deep.equal(['upload', 'upload', 'metadata']);
        expect(text(await store.get(KEY))).to.equal('once');
      });

      it('again what was lost before the effect, and what the service is too busy for', async () => {
        for (const fault of [
          { drop: 'before' },
          { status: 503 },
          { status: 429 },
          { status: 500 },
          { status: 408 },
          { status: 403, reason: 'userRateLimitExceeded' },
        ] as const) {
          server.faults.add({ operation: 'upload', times: 2, ...fault });
          const key = `${KEY}${JSON.stringify(fault)}`;
          await store.put(key, Buffer.from('later'));
          expect(text(await store.get(key))).to.equal('later');
        }
        expect(server.count('upload')).to.equal(18);
      });

      it('refuses a key that has other bytes', async () => {
        await store.put(KEY, Buffer.from('these'));
        const error = await refusal(store.put(KEY, Buffer.from('those')));
        expect(error.refusal.code).to.equal('INTERNAL');
        expect(error.message).to.equal(`bucket chunks has an object ${KEY} with other bytes`);
        expect(text(await store.get(KEY))).to.equal('these');
      });

      it('gives up within its budget, and says why', async () => {
        server.faults.add({ operation: 'upload', status: 503, times: 100 });
        const error = await refusal(store.put(KEY, Buffer.from('x')));
        expect(error.refusal).to.deep.equal({
          code: 'STORAGE_UNAVAILABLE',
          text: 'cannot write a chunk to bucket chunks: 503 Backend Error (6 attempts)',
        });
        expect(server.count('upload')).to.equal(6);
      });

      it('does not try again what cannot succeed', async () => {
        server.faults.add({ operation: 'upload', status: 403, times: 100 });
        const error = await refusal(store.put(KEY, Buffer.from('x')));
        expect(error.message).to.match(/^cannot write a chunk to bucket chunks: 403 .*storage\.objects\.create[^(]*$/);
        expect(server.count('upload')).to.equal(1);
      });

      it('sends again what is not answered in time, and ends the connection', async () => {
        await reopen({ requestTimeoutMs: 500 });
        server.faults.add({ operation: 'upload', hangs: true });
        await store.put(KEY, Buffer.from('late'));
        expect(text(await store.get(KEY))).to.equal('late');
        await eventually('the connection is closed', () => server.inFlight === 0);
      });

      it('has a deadline for all of it', async () => {
        await reopen({ requestTimeoutMs: 50, callTimeoutMs: 120 });
        server.faults.add({ operation: 'upload', hangs: true, times: 100 });
        const error = await refusal(store.put(KEY, Buffer.from('x')));
        expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
        expect(server.count('upload')).to.be.within(1, 5);
      });
    });

    describe('gets', () => {
      beforeEach(() => store.put(KEY, Buffer.from('123456789')));

      it('again what came damaged, cut off or not at all', async () => {
        for (const fault of [
          { body: 'damaged' },
          { body: 'cut' },
          { drop: 'before' },
          { drop: 'after' },
          { status: 503 },
          { status: 429 },
        ] as const) {
          server.seen.length = 0;
          server.faults.add({ operation: 'download', ...fault });
          expect(text(await store.get(KEY)), JSON.stringify(fault)).to.equal('123456789');
          expect(server.count('download'), JSON.stringify(fault)).to.equal(2);
        }
      });

      it('a part again that came cut off or not at all', async () => {
        server.faults.add({ operation: 'download', body: 'cut' });
        server.faults.add({ operation: 'download', status: 503 });
        server.faults.add({ operation: 'download', drop: 'before' });
        const part = await store.getRange(KEY, { start: 2, end: 8 });
        expect(text(part?.bytes)).to.equal('345678');
        expect(server.count('download')).to.equal(4);
      });

      it('parts of one generation: the second is asked for on the condition that the object is the same', async () => {
        const { version } = (await store.getRange(KEY, { start: -2 }))!;
        await store.getRange(KEY, { start: 0, end: 2 }, version);
        expect(server.seen.at(-1)?.url).to.include(`ifGenerationMatch=${version}`);
        expect(await store.getRange(KEY, { start: 0, end: 2 }, 'of no bucket')).to.equal(undefined);
        expect(server.count('download')).to.equal(2);
      });

      it('a part of what comes as a whole, from a service that knows no ranges', async () => {
        server.faults.add({ operation: 'download', body: 'whole' });
        const part = await store.getRange(KEY, { start: -3 });
        expect(text(part?.bytes)).to.equal('789');
        expect(part).to.include({ start: 6, size: 9 });
      });

      it('never hands out damaged bytes', async () => {
        server.faults.add({ operation: 'download', body: 'damaged', times: 100 });
        const error = await refusal(store.get(KEY));
        expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
        expect(error.message).to.match(/the object came damaged: CRC-32C \S+ instead of 4waSgw== \(6 attempts\)$/);
      });

      it('again a chunk that came damaged where the service tells no hash: its key has one', async () => {
        const key = 'fake/85ad393dc21324c/187702fedd0:187703aa510:e3069283';
        await store.put(key, Buffer.from('123456789'));
        server.seen.length = 0;
        server.faults.add({ operation: 'download', body: 'damaged-untold' });
        expect(text(await store.get(key))).to.equal('123456789');
        expect(server.count('download')).to.equal(2);
      });

      it('again what stalls, and ends that connection and no other', async () => {
        await reopen({ requestTimeoutMs: 1500 });
        const big = Buffer.alloc(4 << 20, 'b');
        await store.put(`${KEY}0`, big);
        server.faults.add({ operation: 'download', body: 'stalled' });
        const stalled = store.get(KEY);
        await eventually('it stalls', () => server.count('download') === 1);
        await new Promise((resolve) => setTimeout(resolve, 700));
        // Under way when the stalled one is given up.
        server.faults.add({ operation: 'download', delayMs: 1000, times: 3 });
        const others = await Promise.all([1, 2, 3].map(() => store.get(`${KEY}0`)));
        expect(others.map((bytes) => bytes?.length)).to.deep.equal(Array(3).fill(big.length));
        expect(text(await stalled)).to.equal('123456789');
        expect(server.count('download'), 'the stalled one again, and no other').to.equal(5);
        await eventually('the stalled connection is closed', () => server.inFlight === 0);
      });

      it('again what comes too slowly as a whole, though never silent for long', async () => {
        await reopen({ requestTimeoutMs: 500 });
        await store.put(`${KEY}0`, Buffer.alloc(1000, 's'));
        server.faults.add({ operation: 'download', body: 'trickled' });
        expect((await store.get(`${KEY}0`))?.length).to.equal(1000);
        expect(server.count('download')).to.be.at.least(2);
        await eventually('the slow connection is closed', () => server.inFlight === 0, undefined, 5000);
      });

      it('tells an object that is not there from a bucket that is not there', async () => {
        expect(await store.get(`${KEY}0`)).to.equal(undefined);
        server.objects.bucket('chunks').clear();
        server.objects.deleteBucket('chunks');
        const works = [
          () => store.get(KEY),
          () => store.getRange(KEY, { start: 0, end: 1 }),
          () => store.delete(KEY),
          () => store.put(KEY, Buffer.from('x')),
        ];
        for (const work of works) {
          expect((await refusal(work())).message).to.match(/404 The specified bucket does not exist\.$/);
        }
      });
    });

    it('deletes once, though the answer was lost after the effect', async () => {
      await store.put(KEY, Buffer.from('x'));
      server.faults.add({ operation: 'delete', drop: 'after' });
      expect(await store.delete(KEY)).to.equal(true);
      expect(server.count('delete')).to.equal(2);
      expect(await store.delete(KEY)).to.equal(false);
    });

    it('lists more than a page, and goes on where a page failed', async () => {
      const bucket = server.objects;
      for (let index = 0; index < 2300; index++) {
        bucket.insert('chunks', `t/${index.toString(16)}`, Buffer.of(1), {}, {});
      }
      server.faults.add({ operation: 'list', status: 503 });
      const found: string[] = [];
      for await (const key of store.list('t/')) {
        if (found.length === 1500) server.faults.add({ operation: 'list', drop: 'after' });
        found.push(key);
      }
      expect(new Set(found).size).to.equal(2300);
      expect(found).to.have.length(2300);
      expect(server.count('list')).to.equal(5);
    });

    it('runs so many requests at a time, of writing and of reading each, over few connections', async () => {
      await reopen({ concurrencyMax: 4 });
      // The first of each kind stay until as many as may have come, however slowly they come.
      const held = { delayMs: 500, times: 4 };
      server.faults.add({ operation: 'upload', ...held });
      server.faults.add({ operation: 'download', ...held });
      server.faults.add({ delayMs: 2, times: 1000 });
      await Promise.all(Array.from({ length: 60 }, (_, index) => store.put(`${KEY}${index}`, Buffer.of(index))));
      expect(server.inFlightMax).to.equal(4);
      expect(server.connections).to.be.at.most(8);
      server.inFlightMax = 0;
      const found = await Promise.all(Array.from({ length: 60 }, (_, index) => store.get(`${KEY}${index}`)));
      expect(found.map((bytes) => bytes?.[0])).to.deep.equal(Array.from({ length: 60 }, (_, index) => index));
      expect(server.inFlightMax).to.equal(4);
    });

    it('refuses more than can wait, and serves the others', async () => {
      await reopen({ concurrencyMax: 2, waitingMax: 5 });
      const outcomes = await Promise.allSettled(
        Array.from({ length: 10 }, (_, index) => store.put(`${KEY}${index}`, Buffer.of(index))),
      );
      const codes = outcomes.map((one) =>
        one.status === 'rejected' ? (one.reason as RefusedError).refusal.code : 'ok',
      );
      expect(codes).to.deep.equal([...Array(7).fill('ok'), ...Array(3).fill('OVERLOADED')]);
      await store.put(KEY, Buffer.from('room again'));
    });

    it('lets a flush pass a queue of reads', async () => {
      await reopen({ concurrencyMax: 2 });
      server.faults.add({ operation: 'download', hangs: true, times: 2 });
      const reads = [1, 2, 3, 4].map(() => refusal(store.get(KEY)));
      await store.put(KEY, Buffer.from('flushed'));
      await store.close();
      for (const read of reads) expect((await read).message).to.match(/the chunk store is closed$/);
    });

    describe('closes', () => {
      it('after the write that is under way, at once for what waits, retries and reads', async () => {
        await reopen({ concurrencyMax: 1 });
        server.faults.add({ operation: 'upload', delayMs: 100 });
        server.faults.add({ operation: 'download', hangs: true });
        const underWay = store.put(KEY, Buffer.from('under way'));
        const waiting = refusal(store.put(`${KEY}0`, Buffer.from('waits')));
        const reading = refusal(store.get(`${KEY}1`));
        await eventually('both requests came', () => server.seen.length === 2);
        await store.close();
        await underWay;
        expect((await waiting).message).to.equal('cannot write a chunk to bucket chunks: the chunk store is closed');
        expect((await reading).refusal.code).to.equal('STORAGE_UNAVAILABLE');
        expect(server.objects.bucket('chunks').has(KEY)).to.equal(true);
        expect(server.objects.bucket('chunks').has(`${KEY}0`)).to.equal(false);
        expect((await refusal(store.get(KEY))).message).to.match(/closed$/);
      });

      it('without another try when the write under way fails', async () => {
        server.faults.add({ operation: 'upload', delayMs: 50, status: 503, times: 100 });
        const failing = refusal(store.put(KEY, Buffer.from('x')));
        await eventually('the request came', () => server.count('upload') === 1);
        await store.close();
        expect((await failing).message).to.match(/503 Backend Error$/);
        expect(server.count('upload')).to.equal(1);
      });
    });

    it('refuses with STORAGE_UNAVAILABLE while the service is away, and works again when it is back', async () => {
      const port = Number(new URL(server.url).port);
      await server.close();
      const works = [
        () => store.put(KEY, Buffer.from('x')),
        () => store.get(KEY),
        () => store.delete(KEY),
        () => keys(store),
      ];
      for (const error of await Promise.all(works.map((work) => refusal(work())))) {
        expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
        expect(error.message).to.match(/ECONNREFUSED.*\(6 attempts\)$/);
      }
      server = await GcsServer.start({}, port);
      await store.put(KEY, Buffer.from('back'));
      expect(text(await store.get(KEY))).to.equal('back');
    });

    it('ends well when the service goes away in the middle of it', async () => {
      server.faults.add({ delayMs: 20, times: 1000 });
      const works = Array.from({ length: 40 }, (_, index) =>
        index % 2 ? store.put(`${KEY}${index}`, Buffer.alloc(1 << 18)) : store.get(KEY),
      );
      const outcomes = Promise.allSettled(works);
      await eventually('requests came', () => server.seen.length >= 10);
      await server.close();
      for (const outcome of await outcomes) {
        if (outcome.status === 'rejected') {
          expect((outcome.reason as RefusedError).refusal.code).to.equal('STORAGE_UNAVAILABLE');
        }
      }
      server = await GcsServer.start();
    });

    it('reads on with a new token when the one it has is revoked before its time', async () => {
      const tokens = await TokenServer.start();
      const options = { token: tokens.token };
      const other = await GcsServer.start(options);
      const environment = {
        GCE_METADATA_HOST: tokens.host,
        METADATA_SERVER_DETECTION: 'assume-present',
        HOME: '/nowhere',
      };
      await withEnvironment(environment, async () => {
        const reader = await opened({ endpoint: other.url, sendsCredentials: true });
        await reader.put(KEY, Buffer.from('bytes'));
        options.token = tokens.renew();
        expect(Buffer.from((await reader.get(KEY)) ?? []).toString()).to.equal('bytes');
        const asked = tokens.asked;
        options.token = 'of somebody else';
        expect((await refusal(reader.get(KEY))).message).to.contain('401');
        expect(tokens.asked, 'one new token').to.equal(asked + 1);
        await reader.close();
      });
      await other.close();
      await tokens.close();
    });

    describe('opens only what can be used', () => {
      const refusedToOpen = async (
        options: Partial<GcsChunkStoreOptions>,
        serverOptions?: GcsServerOptions,
      ): Promise<string> => {
        const other = serverOptions && (await GcsServer.start(serverOptions));
        try {
          const endpoint = other?.url ?? server.url;
          const error = await refusal(opened({ endpoint, ...options }));
          expect(error.refusal.code).to.equal('STORAGE_UNAVAILABLE');
          return error.message.replace(endpoint, 'URL');
        } finally {
          await other?.close();
        }
      };

      it('and names the bucket that is not there', async () => {
        expect(await refusedToOpen({ bucket: 'chonks' })).to.equal(
          'cannot use bucket chonks of Cloud Storage at URL: there is no bucket chonks',
        );
      });

      it('and says that access is refused', async () => {
        server.faults.add({ operation: 'list', status: 403 });
        expect(await refusedToOpen({})).to.match(/^cannot use bucket chunks of Cloud Storage at URL: no access: 403 /);
      });

      it('and names the permissions that are missing', async () => {
        const permissions = ['storage.objects.get', 'storage.objects.list'];
        expect(await refusedToOpen({}, { permissions })).to.match(
          /no permission storage\.objects\.create, storage\.objects\.delete \(/,
        );
      });

      it('and needs less where nothing is written', async () => {
        const reader = await GcsServer.start({ permissions: ['storage.objects.get', 'storage.objects.list'] });
        await (await opened({ endpoint: reader.url, isReadOnly: true })).close();
        await reader.close();
        expect(await refusedToOpen({ isReadOnly: true }, { permissions: ['storage.objects.list'] })).to.match(
          /no permission storage\.objects\.get \(roles\/storage\.objectViewer has all that is needed\)$/,
        );
      });

      it('and says that there are no credentials, and where they are looked for', async () => {
        await withEnvironment({ GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/key.json' }, async () => {
          expect(await refusedToOpen({ sendsCredentials: true })).to.match(
            /no credentials: .*\/nowhere\/key\.json.*GOOGLE_APPLICATION_CREDENTIALS/,
          );
        });
        await withEnvironment({ METADATA_SERVER_DETECTION: 'none', HOME: '/nowhere' }, async () => {
          expect(await refusedToOpen({ sendsCredentials: true })).to.match(/no credentials: /);
        });
        expect(server.seen, 'no request without them').to.deep.equal([]);
      });

      it('and says that nobody answers', async () => {
        const gone = await GcsServer.start();
        const endpoint = gone.url;
        await gone.close();
        expect(await refusedToOpen({ endpoint })).to.match(/ECONNREFUSED .*\(6 attempts\)$/);
      });

      it('but takes a service that cannot tell permissions, as emulators', async () => {
        const emulator = await GcsServer.start({ permissions: 'unknown' });
        await (await opened({ endpoint: emulator.url })).close();
        await emulator.close();
      });

      it('writing nothing', async () => {
        await (await opened()).close();
        expect(server.seen.map(({ method }) => method)).to.deep.equal(['GET', 'GET']);
      });
    });

    it('looks at STORAGE_EMULATOR_HOST', async () => {
      await withEnvironment({ STORAGE_EMULATOR_HOST: server.url }, async () => {
        const emulated = await opened({ endpoint: undefined, sendsCredentials: false });
        await emulated.put(KEY, Buffer.from('emulated'));
        expect(text(await emulated.get(KEY))).to.equal('emulated');
        expect(await emulated.delete(KEY)).to.equal(true);
        await emulated.close();
      });
    });
  });
});

const text = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();

const keys = async (store: GcsChunkStore): Promise<string[]> => {
  const found: string[] = [];
  for await (const key of store.list('')) found.push(key);
  return found;
};

const refusal = async (work: Promise<unknown>): Promise<RefusedError> => {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(RefusedError);
  return error as RefusedError;
};

/** Where Google's library gets tokens on a machine in their cloud. */
class TokenServer {
  readonly #server = http.createServer((_, response) => {
    this.asked += 1;
    response.setHeader('metadata-flavor', 'Google');
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ access_token: this.token, expires_in: 3_600, token_type: 'Bearer' }));
  });
  token = 'token 1';
  asked = 0;

  static async start(): Promise<TokenServer> {
    const tokens = new TokenServer();
    tokens.#server.listen(0, '127.0.0.1');
    await once(tokens.#server, 'listening');
    return tokens;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  renew(): string {
    this.token = 'token 2';
    return this.token;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

const withEnvironment = async (values: Record<string, string>, work: () => Promise<void>): Promise<void> => {
  const before = Object.keys(values).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, values);
  try {
    await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
};
