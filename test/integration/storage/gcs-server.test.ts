import { createHash } from 'node:crypto';
import { Storage } from '@google-cloud/storage';
import { expect } from 'chai';
import { GcsServer } from '../../support/gcs/gcs-server.ts';
import { RESUMABLE_UNIT } from '../../support/gcs/gcs-uploads.ts';

/** The check value of CRC-32C (`123456789` gives e3069283), as the API writes it. */
const NINE = { text: '123456789', crc32c: '4waSgw==' };

interface Resource {
  readonly [key: string]: unknown;
}

interface Page {
  readonly items?: readonly { readonly name: string }[];
  readonly prefixes?: readonly string[];
  readonly nextPageToken?: string;
}

/** The server stands in for the service in the tests of the store: what it checks is checked here, without the client. */
describe('the Cloud Storage server of the tests', () => {
  let server: GcsServer;

  beforeEach(async () => {
    server = await GcsServer.start();
  });

  afterEach(() => server.close());

  const at = (path: string): string => `${server.url}/storage/v1/b/${path}`;

  const multipart = async (
    metadata: object,
    body: string | Buffer,
    query: Record<string, string> = {},
    bucket = 'chunks',
  ): Promise<Response> => {
    const parts = [
      `--cut\r\nContent-Type: application/json\r\n\r\n${JSON.stringify(metadata)}\r\n`,
      '--cut\r\nContent-Type: application/octet-stream\r\n\r\n',
      body,
      '\r\n--cut--',
    ];
    const parameters = new URLSearchParams({ uploadType: 'multipart', ...query });
    return await fetch(`${server.url}/upload/storage/v1/b/${bucket}/o?${parameters}`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/related; boundary=cut' },
      body: Buffer.concat(parts.map((part) => Buffer.from(part))),
    });
  };

  const stored = async (name: string, body: string | Buffer = NINE.text): Promise<Resource> =>
    (await (await multipart({ name }, body)).json()) as Resource;

  const refusal = async (answer: Response): Promise<string> => {
    const { error } = (await answer.json()) as { error: { code: number; errors: { reason: string }[] } };
    expect(error.code).to.equal(answer.status);
    return `${answer.status} ${error.errors[0]?.reason}`;
  };

  describe('uploads', () => {
    it('stores metadata and bytes of one request, and tells both hashes', async () => {
      const bytes = Buffer.from(Uint8Array.from({ length: 1000 }, (_, index) => index * 7));
      const resource = await stored('a/b:c', Buffer.concat([bytes, Buffer.from('\r\n--cu')]));
      expect(resource).to.include({ kind: 'storage#object', name: 'a/b:c', bucket: 'chunks', size: '1006' });
      const answer = await fetch(at('chunks/o/a%2Fb%3Ac?alt=media'));
      const back = Buffer.from(await answer.arrayBuffer());
      expect(back.subarray(0, 1000).equals(bytes)).to.equal(true);
      expect(back.length).to.equal(1006);
      expect(resource['md5Hash']).to.equal(createHash('md5').update(back).digest('base64'));
      expect(answer.headers.get('x-goog-hash')).to.equal(`crc32c=${resource['crc32c']},md5=${resource['md5Hash']}`);
    });

    it('has the CRC-32C that everybody has', async () => {
      expect((await stored('nine'))['crc32c']).to.equal(NINE.crc32c);
    });

    it('takes right hashes and refuses wrong ones, and stores nothing then', async () => {
      expect((await multipart({ name: 'right', crc32c: NINE.crc32c }, NINE.text)).status).to.equal(200);
      expect(await refusal(await multipart({ name: 'w', crc32c: 'AAAAAA==' }, NINE.text))).to.equal('400 invalid');
      expect(await refusal(await multipart({ name: 'w', md5Hash: 'AAAA' }, NINE.text))).to.equal('400 invalid');
      expect(await refusal(await multipart({ name: 'w', crc32c: NINE.crc32c }, '123456780'))).to.equal('400 invalid');
      expect((await fetch(at('chunks/o/w'))).status).to.equal(404);
    });

    it('keeps to the generation that the request names', async () => {
      const first = await multipart({ name: 'x' }, 'one', { ifGenerationMatch: '0' });
      const { generation } = (await first.json()) as { generation: string };
      const again = await multipart({ name: 'x' }, 'two', { ifGenerationMatch: '0' });
      expect(await refusal(again)).to.equal('412 conditionNotMet');
      expect(await (await fetch(at('chunks/o/x?alt=media'))).text()).to.equal('one');
      expect((await multipart({ name: 'x' }, 'two', { ifGenerationMatch: generation })).status).to.equal(200);
      expect((await multipart({ name: 'x' }, 'three', { ifGenerationMatch: generation })).status).to.equal(412);
      expect((await multipart({ name: 'y' }, 'one', { ifGenerationMatch: '5' })).status).to.equal(412);
      expect((await multipart({ name: 'y' }, 'one', { ifGenerationMatch: 'none' })).status).to.equal(400);
    });

    it('prefers the name of the query, and refuses names that the service refuses', async () => {
      expect(await (await multipart({ name: 'in-body' }, 'x', { name: 'in-query' })).json()).to.include({
        name: 'in-query',
      });
      for (const name of ['', '.', '..', 'a\nb', 'a\rb', 'n'.repeat(1025), '.well-known/acme-challenge/x']) {
        expect((await multipart({ name }, 'x')).status, name).to.equal(400);
      }
      for (const name of ['n'.repeat(1024), '/x', 'x/', 'a//b', '../x', 'nul\0', 'ünïcode']) {
        expect((await multipart({ name }, 'x')).status, name).to.equal(200);
      }
    });

    it('refuses bodies that are not two parts, the first of them JSON', async () => {
      const post = (body: string, contentType = 'multipart/related; boundary=cut'): Promise<Response> =>
        fetch(`${server.url}/upload/storage/v1/b/chunks/o?uploadType=multipart`, {
          method: 'POST',
          headers: { 'content-type': contentType },
          body,
        });
      const json = '--cut\r\nContent-Type: application/json\r\n\r\n{"name":"x"}\r\n';
      const bytes = '--cut\r\nContent-Type: text/plain\r\n\r\nx\r\n';
      expect((await post(`${json}${bytes}--cut--`)).status).to.equal(200);
      expect((await post(`${json}${bytes}--cut--`, 'multipart/related; boundary="cut"')).status).to.equal(200);
      for (const body of [
        `${json}--cut--`,
        `${json}${bytes}${bytes}--cut--`,
        `${json}${bytes}`,
        `${bytes}${json}--cut--`,
        json.replace('"}', ''),
        '',
      ]) {
        expect((await post(body)).status, body).to.equal(400);
      }
      expect((await post(`${json}${bytes}--cut--`, 'text/plain')).status).to.equal(400);
      expect((await post('x')).status).to.equal(400);
    });

    it('stores bytes alone, checked by a header', async () => {
      const post = (hash: string): Promise<Response> =>
        fetch(`${server.url}/upload/storage/v1/b/chunks/o?uploadType=media&name=m`, {
          method: 'POST',
          headers: { 'content-type': 'text/plain', 'x-goog-hash': hash },
          body: NINE.text,
        });
      expect((await post('crc32c=AAAAAA==')).status).to.equal(400);
      expect(await (await post(`crc32c=${NINE.crc32c}`)).json()).to.include({ contentType: 'text/plain', size: '9' });
    });

    it('knows no other bucket and no other kind of upload', async () => {
      expect(await refusal(await multipart({ name: 'x' }, 'x', {}, 'other'))).to.equal('404 notFound');
      expect((await multipart({ name: 'x' }, 'x', { uploadType: 'carrier-pigeon' })).status).to.equal(400);
    });
  });

  describe('resumable uploads', () => {
    const begin = async (metadata: object, query = ''): Promise<Response> =>
      await fetch(`${server.url}/upload/storage/v1/b/chunks/o?uploadType=resumable${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(metadata),
      });

    const part = async (session: string, range: string, body: Buffer | string = ''): Promise<Response> =>
      await fetch(session, { method: 'PUT', headers: { 'content-range': range }, body, redirect: 'manual' });

    it('puts parts together, tells what it has, and checks all of it', async () => {
      const bytes = Buffer.alloc(RESUMABLE_UNIT + 100, 'r');
      const session = (await begin({ name: 'big', md5Hash: createHash('md5').update(bytes).digest('base64') })).headers;
      const url = session.get('location') ?? '';
      const total = bytes.length;
      const first = await part(url, `bytes 0-${RESUMABLE_UNIT - 1}/*`, bytes.subarray(0, RESUMABLE_UNIT));
      expect([first.status, first.headers.get('range')]).to.deep.equal([308, `bytes=0-${RESUMABLE_UNIT - 1}`]);
      const asked = await part(url, `bytes */${total}`);
      expect([asked.status, asked.headers.get('range')]).to.deep.equal([308, `bytes=0-${RESUMABLE_UNIT - 1}`]);
      expect((await fetch(at('chunks/o/big'))).status, 'not there before the end').to.equal(404);
      const last = await part(url, `bytes ${RESUMABLE_UNIT}-${total - 1}/${total}`, bytes.subarray(RESUMABLE_UNIT));
      expect([last.status, ((await last.json()) as Resource)['size']]).to.deep.equal([200, `${total}`]);
      expect((await part(url, `bytes */${total}`)).status, 'asked again').to.equal(200);
    });

    it('refuses wrong hashes at the end, small parts, gaps, and ranges that lie', async () => {
      const wrong = (await begin({ name: 'w', crc32c: 'AAAAAA==' })).headers.get('location') ?? '';
      expect((await part(wrong, 'bytes 0-8/9', NINE.text)).status).to.equal(400);
      const session = (await begin({ name: 'w' })).headers.get('location') ?? '';
      expect((await part(session, 'bytes 0-8/*', NINE.text)).status).to.equal(400);
      expect((await part(session, 'bytes 5-13/14', NINE.text)).status).to.equal(400);
      expect((await part(session, 'bytes 0-9/10', NINE.text)).status).to.equal(400);
      expect((await part(session, 'lines 0-9/10', NINE.text)).status).to.equal(400);
    });

    it('keeps to the condition at the begin and at the end', async () => {
      const session = (await begin({ name: 'x' }, '&ifGenerationMatch=0')).headers.get('location') ?? '';
      await stored('x');
      expect((await part(session, 'bytes 0-8/9', NINE.text)).status).to.equal(412);
      expect((await begin({ name: 'x' }, '&ifGenerationMatch=0')).status).to.equal(412);
    });

    it('forgets a session that is cancelled', async () => {
      const session = (await begin({ name: 'x' })).headers.get('location') ?? '';
      expect((await fetch(session, { method: 'DELETE' })).status).to.equal(499);
      expect((await part(session, 'bytes 0-8/9', NINE.text)).status).to.equal(404);
    });
  });

  describe('downloads', () => {
    const ranged = async (range: string, name = 'nine'): Promise<string> => {
      const answer = await fetch(at(`chunks/o/${name}?alt=media`), { headers: { range } });
      const text = answer.ok ? await answer.text() : '';
      return `${answer.status} ${text} ${answer.headers.get('content-range') ?? ''}`.trim();
    };

    it('gives ranges', async () => {
      await stored('nine');
      expect(await ranged('bytes=0-3')).to.equal('206 1234 bytes 0-3/9');
      expect(await ranged('bytes=7-')).to.equal('206 89 bytes 7-8/9');
      expect(await ranged('bytes=7-99')).to.equal('206 89 bytes 7-8/9');
      expect(await ranged('bytes=-2')).to.equal('206 89 bytes 7-8/9');
      expect(await ranged('bytes=-99')).to.equal('206 123456789 bytes 0-8/9');
    });

    it('refuses ranges beyond the end, and ignores what is none', async () => {
      await stored('nine');
      await stored('none', '');
      expect(await ranged('bytes=9-')).to.equal('416  bytes */9');
      expect(await ranged('bytes=-0')).to.equal('416  bytes */9');
      expect(await ranged('bytes=0-3', 'none')).to.equal('416  bytes */0');
      expect(await ranged('bytes=5-2')).to.equal('200 123456789');
      expect(await ranged('lines=0-3')).to.equal('200 123456789');
    });

    it('finds an object by its encoded name only, and as the XML API does', async () => {
      await stored('a/b:c');
      expect((await fetch(at('chunks/o/a/b:c'))).status).to.equal(404);
      expect((await fetch(`${server.url}/download/storage/v1/b/chunks/o/a%2Fb%3Ac?alt=media`)).status).to.equal(200);
      expect(await (await fetch(`${server.url}/chunks/a/b:c`)).text()).to.equal(NINE.text);
    });

    it('tells of what is not there in plain text', async () => {
      const answer = await fetch(at('chunks/o/gone?alt=media'));
      expect([answer.status, await answer.text()]).to.deep.equal([404, 'No such object: chunks/gone']);
      expect((await fetch(at('other/o/gone?alt=media'))).status).to.equal(404);
    });

    it('keeps to conditions and generations', async () => {
      const { generation } = await stored('x');
      const status = async (query: string): Promise<number> => (await fetch(at(`chunks/o/x?${query}`))).status;
      expect(await status(`generation=${generation}`)).to.equal(200);
      expect(await status('generation=1')).to.equal(404);
      expect(await status('ifGenerationMatch=1')).to.equal(412);
      expect(await status(`ifGenerationNotMatch=${generation}`)).to.equal(304);
    });
  });

  describe('lists', () => {
    const page = async (query: Record<string, string>): Promise<Page> =>
      (await (await fetch(at(`chunks/o?${new URLSearchParams(query)}`))).json()) as Page;

    const paged = async (query: Record<string, string>): Promise<{ names: string[]; pages: number }> => {
      const names: string[] = [];
      let [pages, token]: [number, string | undefined] = [0, undefined];
      do {
        const one = await page({ ...query, ...(token !== undefined && { pageToken: token }) });
        names.push(...(one.items ?? []).map(({ name }) => name), ...(one.prefixes ?? []));
        token = one.nextPageToken;
        pages += 1;
      } while (token !== undefined && pages < 20);
      return { names, pages };
    };

    it('gives names in the order of their bytes, page by page', async () => {
      for (const name of ['b', 'a', '\u{ffff}', '\u{10000}', 'a/1', 'a/2']) await stored(name);
      const all = ['a', 'a/1', 'a/2', 'b', '\u{ffff}', '\u{10000}'];
      expect(await paged({})).to.deep.equal({ names: all, pages: 1 });
      expect(await paged({ maxResults: '2' })).to.deep.equal({ names: all, pages: 3 });
      expect(await paged({ maxResults: '4' })).to.deep.equal({ names: all, pages: 2 });
      expect(await paged({ prefix: 'a', maxResults: '1' })).to.deep.equal({ names: ['a', 'a/1', 'a/2'], pages: 3 });
      expect(await page({ prefix: 'z' })).to.deep.equal({ kind: 'storage#objects' });
    });

    it('folds names at the delimiter, each prefix once over all pages', async () => {
      for (const name of ['a/1', 'a/2', 'b', 'c/1', 'c/2/3']) await stored(name);
      expect(await page({ delimiter: '/' })).to.deep.include({ prefixes: ['a/', 'c/'] });
      expect(await paged({ delimiter: '/', maxResults: '1' })).to.deep.equal({ names: ['a/', 'b', 'c/'], pages: 3 });
      expect((await paged({ delimiter: '/', prefix: 'c/' })).names).to.deep.equal(['c/1', 'c/2/']);
    });

    it('gives the fields that are asked for, and refuses those there are not', async () => {
      await stored('x');
      expect(await page({ fields: 'items/name,nextPageToken' })).to.deep.equal({ items: [{ name: 'x' }] });
      expect(await page({ fields: 'items(name,size)' })).to.deep.equal({ items: [{ name: 'x', size: '9' }] });
      for (const fields of ['items/nmae', 'itmes', 'items(name', '', 'items,,kind']) {
        expect((await fetch(at(`chunks/o?${new URLSearchParams({ fields })}`))).status, fields).to.equal(400);
      }
    });

    it('refuses tokens of others, sizes that are none, and buckets there are not', async () => {
      for (const query of ['pageToken=x', 'maxResults=0', 'maxResults=-1', 'maxResults=many']) {
        expect((await fetch(at(`chunks/o?${query}`))).status, query).to.equal(400);
      }
      expect(await refusal(await fetch(at('other/o')))).to.equal('404 notFound');
    });
  });

  describe('deletes, buckets and permissions', () => {
    it('deletes once', async () => {
      await stored('x');
      const remove = (query = ''): Promise<Response> => fetch(at(`chunks/o/x${query}`), { method: 'DELETE' });
      expect((await remove('?ifGenerationMatch=1')).status).to.equal(412);
      expect((await remove()).status).to.equal(204);
      expect(await refusal(await remove())).to.equal('404 notFound');
    });

    it('makes a bucket once, and removes it when it is empty', async () => {
      const make = (name: string): Promise<Response> =>
        fetch(`${server.url}/storage/v1/b?project=p`, { method: 'POST', body: JSON.stringify({ name }) });
      expect((await make('more')).status).to.equal(200);
      expect(await refusal(await make('more'))).to.equal('409 conflict');
      expect((await make('No Bucket')).status).to.equal(400);
      await stored('x');
      expect(await refusal(await fetch(at('chunks'), { method: 'DELETE' }))).to.equal('409 conflict');
      expect((await fetch(at('more'), { method: 'DELETE' })).status).to.equal(204);
      expect((await fetch(at('more'))).status).to.equal(404);
    });

    it('tells which permissions the caller holds', async () => {
      const limited = await GcsServer.start({ permissions: ['storage.objects.get'], token: 'secret' });
      try {
        const url = `${limited.url}/storage/v1/b/chunks/iam/testPermissions?permissions=storage.objects.get&permissions=storage.objects.list`;
        expect((await fetch(url)).status, 'without the token').to.equal(401);
        const held = await fetch(url, { headers: { authorization: 'Bearer secret' } });
        expect(await held.json()).to.deep.include({ permissions: ['storage.objects.get'] });
      } finally {
        await limited.close();
      }
    });
  });

  describe('faults', () => {
    it('fail as often as asked, without effect', async () => {
      for (const status of [408, 429, 500, 503]) {
        server.faults.add({ status, times: 2, operation: 'upload' });
        expect((await fetch(at('chunks/o'))).status, 'another operation').to.equal(200);
        for (let time = 0; time < 2; time++) expect((await multipart({ name: 'x' }, 'x')).status).to.equal(status);
        expect((await fetch(at('chunks/o/x'))).status).to.equal(404);
      }
      expect((await multipart({ name: 'x' }, 'x')).status).to.equal(200);
    });

    it('drop the connection before and after the effect', async () => {
      const isLost = (work: Promise<unknown>): Promise<boolean> =>
        work.then(
          () => false,
          () => true,
        );
      server.faults.add({ drop: 'before' });
      expect(await isLost(multipart({ name: 'before' }, 'x'))).to.equal(true);
      server.faults.add({ drop: 'after' });
      expect(await isLost(multipart({ name: 'after' }, 'x'))).to.equal(true);
      expect((await fetch(at('chunks/o/before'))).status).to.equal(404);
      expect((await fetch(at('chunks/o/after'))).status).to.equal(200);
    });

    it('damage and cut what is downloaded, not what is stored', async () => {
      await stored('nine');
      server.faults.add({ body: 'damaged' });
      expect(await (await fetch(at('chunks/o/nine?alt=media'))).text()).to.equal('123446789');
      server.faults.add({ body: 'cut' });
      const cut = await fetch(at('chunks/o/nine?alt=media'));
      const error = await cut.text().catch((reason: unknown) => reason);
      expect(error).to.be.instanceOf(Error);
      expect(await (await fetch(at('chunks/o/nine?alt=media'))).text()).to.equal('123456789');
    });
  });

  describe('with the client', () => {
    it('is found through `apiEndpoint` and through STORAGE_EMULATOR_HOST, which ask for different paths', async () => {
      const save = async (storage: Storage, name: string): Promise<void> => {
        const file = storage.bucket('chunks').file(name);
        await file.save('by default: resumable, with an MD5 or CRC-32C of the client', { contentType: 'text/plain' });
        await file.save('once more', { resumable: false });
        expect((await file.download())[0].toString()).to.equal('once more');
        expect((await file.getMetadata())[0].size).to.equal('9');
      };
      await save(new Storage({ apiEndpoint: server.url }), 'through-endpoint');
      const before = process.env['STORAGE_EMULATOR_HOST'];
      process.env['STORAGE_EMULATOR_HOST'] = server.url;
      try {
        await save(new Storage(), 'through-environment');
      } finally {
        if (before === undefined) delete process.env['STORAGE_EMULATOR_HOST'];
        else process.env['STORAGE_EMULATOR_HOST'] = before;
      }
      const metadata = server.seen.filter(({ operation }) => operation === 'metadata').map(({ url }) => url);
      expect(metadata.map((url) => url.split('/chunks/')[0])).to.deep.equal(['/storage/v1/b', '/b']);
    });
  });
});
