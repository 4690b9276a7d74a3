/** Loki's first API, `/api/prom`, and `index/shards`, asked of a node. */
import { expect } from 'chai';
import { TestServer } from './test-server.ts';

describe('a node that is asked as Loki 1 was', function () {
  this.timeout(60_000);
  let server: TestServer;
  const startNs = BigInt(Math.floor(Date.now() / 60_000) * 60_000 - 600_000) * 1_000_000n;
  const range = { start: String(startNs), end: String(startNs + 600_000_000_000n) };
  const ask = async (path: string, parameters: Record<string, string> = {}) =>
    await server.ask(`${path}?${new URLSearchParams({ ...range, ...parameters })}`);
  const answerOf = async (path: string, parameters: Record<string, string> = {}): Promise<unknown> => {
    const { status, text } = await ask(path, parameters);
    expect(status, text).to.equal(200);
    return JSON.parse(text);
  };
  const timeText = (ns: bigint, fraction: string): string =>
    new Date(Number((startNs + ns) / 1_000_000n)).toISOString().replace(/\.000Z$/, `${fraction}Z`);

  before(async () => {
    server = await TestServer.start();
    const push = async (labels: string, lines: readonly string[]): Promise<void> => {
      const entries = lines.map((line, index) => ({ timeNs: startNs + BigInt(index) * 1_000_000_120n, line }));
      expect((await server.pushProto(labels, entries)).status).to.equal(204);
    };
    await push('{app="shop",say="\\"hi\\""}', ['one', 'two "2"', 'three']);
    await push('{app="bank"}', ['x'.repeat(1000)]);
  });
  after(() => server.stop());

  it('gives lines with labels as a text, times as RFC 3339 and no envelope', async () => {
    const answer = await answerOf('/api/prom/query', { query: '{app="shop"}', direction: 'forward' });
    expect(answer).to.have.all.keys('streams', 'stats');
    expect(answer).to.have.nested.property('stats.summary.totalEntriesReturned', 3);
    expect((answer as { streams: unknown }).streams).to.deep.equal([
      {
        labels: '{app="shop", say="\\"hi\\""}',
        entries: [
          { ts: timeText(0n, ''), line: 'one' },
          { ts: timeText(1_000_000_000n, '.00000012'), line: 'two "2"' },
          { ts: timeText(2_000_000_000n, '.00000024'), line: 'three' },
        ],
      },
    ]);
  });

  it('takes the regexp as one more filter, behind the stages of the query', async () => {
    const parameters = { query: '{app=~".+"} | line_format "{{__line__}}!"', regexp: '^t\\w+!$' };
    const answer = (await answerOf('/api/prom/query', parameters)) as { streams: { entries: { line: string }[] }[] };
    expect(answer.streams.flatMap(({ entries }) => entries.map(({ line }) => line))).to.deep.equal(['three!']);
    expect((await ask('/api/prom/query', { query: '{app=~".+"}', regexp: '(' })).status).to.equal(400);
  });

  it('keeps parsed labels among the others, though a client asks for kinds of labels or parts of an answer', async () => {
    const headers = { 'x-loki-response-encoding-flags': 'categorize-labels', 'x-ringlog-partial': 'allow' };
    const parameters = { ...range, query: '{app="shop"} | regexp "^(?P<word>tw.)"' };
    const { status, text } = await server.ask(`/api/prom/query?${new URLSearchParams(parameters)}`, { headers });
    expect(status, text).to.equal(200);
    const { streams } = JSON.parse(text) as { streams: { labels: string }[] };
    expect(streams.map(({ labels }) => labels)).to.include('{app="shop", say="\\"hi\\"", word="two"}');
  });

  it('refuses metric queries, and what does not parse', async () => {
    const { status, text } = await ask('/api/prom/query', { query: 'rate({app="shop"}[1m])' });
    expect(`${status} ${text}`).to.equal('400 legacy endpoints only support streams result type');
    expect((await ask('/api/prom/query', { query: '{app=' })).text).to.match(/^parse error/);
  });

  it('gives label names, values and series', async () => {
    expect(await answerOf('/api/prom/label')).to.deep.equal({ values: ['app', 'say'] });
    expect(await answerOf('/api/prom/label/app/values')).to.deep.equal({ values: ['bank', 'shop'] });
    expect(await answerOf('/api/prom/label/none/values')).to.deep.equal({});
    expect(await answerOf('/api/prom/series', { match: '{app="bank"}' })).to.deep.equal({
      status: 'success',
      data: [{ app: 'bank' }],
    });
  });

  it('says where a query may be cut by fingerprints', async () => {
    const shards = async (target?: string) => {
      const more: Record<string, string> = target === undefined ? {} : { targetBytesPerShard: target };
      const { status, text } = await ask('/loki/api/v1/index/shards', { query: '{app=~".+"}', ...more });
      expect(status, text).to.equal(200);
      // Fingerprints are more than a number holds.
      const exact = text.replaceAll(/"(min|max)":(\d+)/g, '"$1":"$2"');
      const answer = JSON.parse(exact) as {
        shards: { bounds: { min: string; max: string }; stats: { streams: number; bytes: number; entries: number } }[];
      };
      expect(answer).to.have.all.keys('shards', 'statistics', 'chunkGroups');
      return answer.shards;
    };
    const [whole, ...others] = await shards();
    expect(others).to.deep.equal([]);
    expect(whole?.bounds).to.deep.equal({ min: '0', max: String(2n ** 64n - 1n) });
    expect(whole?.stats).to.include({ streams: 2, entries: 4 });
    const cut = await shards('500');
    expect(cut.map(({ stats }) => stats.streams)).to.deep.equal([1, 1]);
    expect(cut.reduce((sum, { stats }) => sum + stats.bytes, 0)).to.equal(whole?.stats.bytes);
    expect([cut[0]?.bounds.min, cut[1]?.bounds.max]).to.deep.equal(['0', String(2n ** 64n - 1n)]);
    expect(BigInt(cut[1]?.bounds.min ?? 0)).to.equal(BigInt(cut[0]?.bounds.max ?? 0) + 1n);
    const refusalOf = async (targetBytesPerShard: string): Promise<string> => {
      const { status, text } = await ask('/loki/api/v1/index/shards', { query: '{app="a"}', targetBytesPerShard });
      return `${status} ${text}`;
    };
    expect(await refusalOf('0')).to.equal('400 targetBytesPerShard must be a positive value');
    expect(await refusalOf('abc')).to.equal('400 cannot parse "abc" to a valid size');
  });
});
