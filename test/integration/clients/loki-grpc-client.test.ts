import { expect } from 'chai';
import loki from 'loki-grpc-client';
import { eventually } from '../../support/eventually.ts';
import { ClientRig, ODD_LINES } from './client-rig.ts';

const BASE_SECONDS = Math.floor(Date.now() / 1000) - 60;

const timestamp = (seconds: number, nanos = 0) => new loki.Timestamp().setSeconds(seconds).setNanos(nanos);
const START = timestamp(BASE_SECONDS - 1);
const END = timestamp(BASE_SECONDS + 120);

type Entry = readonly [nanos: number, line: string];

const pushOf = (streams: Readonly<Record<string, readonly Entry[]>>, seconds = BASE_SECONDS) => {
  const request = new loki.PushRequest();
  for (const [labels, entries] of Object.entries(streams)) {
    const stream = new loki.StreamAdapter().setLabels(labels);
    for (const [nanos, line] of entries) {
      stream.addEntries(new loki.EntryAdapter().setTimestamp(timestamp(seconds, nanos)).setLine(line));
    }
    request.addStreams(stream);
  }
  return request;
};

describe('loki-grpc-client', function () {
  this.timeout(30_000);
  let rig: ClientRig;
  let pusher: InstanceType<typeof loki.PusherClient>;
  let querier: InstanceType<typeof loki.QuerierClient>;
  const tenant = loki.createOrgIdMetadata('fake');

  before(async () => {
    rig = await ClientRig.start();
    pusher = new loki.PusherClient(rig.grpc, loki.createInsecureCredentials());
    querier = new loki.QuerierClient(rig.grpc, loki.createInsecureCredentials());
  });
  after(async () => {
    pusher.close();
    querier.close();
    await rig.stop();
  });

  const push = (request: InstanceType<typeof loki.PushRequest>): Promise<void> =>
    new Promise((resolve, reject) => {
      pusher.push(request, tenant, (error) => (error ? reject(error) : resolve()));
    });
  /** `labels nanos line` of what comes, in the order it comes in, and in how many messages. */
  const query = async (selector: string, limit: number, direction: 0 | 1) => {
    const request = new loki.QueryRequest().setSelector(selector).setLimit(limit).setStart(START).setEnd(END);
    const found: string[] = [];
    let messages = 0;
    for await (const response of querier.query(request.setDirection(direction), tenant)) {
      messages += 1;
      for (const stream of (response as InstanceType<typeof loki.QueryResponse>).getStreamsList()) {
        for (const entry of stream.getEntriesList()) {
          found.push(`${stream.getLabels()} ${entry.getTimestamp()?.getNanos()} ${entry.getLine()}`);
        }
      }
    }
    return { found, messages };
  };
  const errorOf = (promise: Promise<unknown>): Promise<{ code: number; details: string }> =>
    promise.then(
      () => ({ code: 0, details: '' }),
      (error) => error,
    );

  it('gets back what it pushed, forward and backward, over several batches', async () => {
    const lines = [...ODD_LINES, ...Array.from({ length: 500 }, (_, index) => `line ${index}`)];
    const entries = lines.map((line, index): Entry => [index + 1, line]);
    const odd = entries.filter((_, index) => index % 2 === 1);
    const even = entries.filter((_, index) => index % 2 === 0);
    await push(pushOf({ '{b="odd", app="grpc"}': odd, '{app="grpc",b="even"}': even }));
    const expected = entries.map(([nanos, line]) => `{app="grpc", b="${nanos % 2 ? 'even' : 'odd'}"} ${nanos} ${line}`);
    const forward = await query('{app="grpc"}', 5000, 0);
    // In one message the entries of a stream are together: over all messages the times go up.
    expect([...forward.found].sort()).to.deep.equal([...expected].sort());
    expect(forward.messages).to.equal(Math.ceil(lines.length / 128));
    const backward = await query('{app="grpc"}', 3, 1);
    expect([...backward.found].sort()).to.deep.equal(expected.slice(-3).sort());
    expect((await query('{app="grpc"} |= "line 7" | line_format "<{{.b}}>"', 1, 0)).found).to.deep.equal([
      expected[12]?.replace(/ line 7$/, ' <even>'),
    ]);
  });

  it('keeps the order of times from one batch to the next', async () => {
    const nanosOf = (text: string): number => Number(/ (\d+) /.exec(text)?.[1]);
    const { found } = await query('{app="grpc"}', 5000, 0);
    for (let first = 128; first < found.length; first += 128) {
      const before = Math.max(...found.slice(first - 128, first).map(nanosOf));
      expect(Math.min(...found.slice(first, first + 128).map(nanosOf))).to.be.above(before);
    }
  });

  it('hears why a push was refused, and pushes again what was not taken while the node was started again', async () => {
    const old = await errorOf(push(pushOf({ '{app="grpc-old"}': [[1, 'old']] }, 1)));
    expect(old.details).to.match(/^entry for stream '.*' has timestamp too old/);
    rig.goAway();
    expect((await errorOf(push(pushOf({ '{app="grpc-again"}': [[1, 'one']] })))).code).to.equal(
      loki.status.UNAVAILABLE,
    );
    await rig.comeBack();
    await eventually('a push to be taken', async () => {
      const error = await errorOf(push(pushOf({ '{app="grpc-again"}': [[1, 'one']] })));
      return error.code === 0;
    });
    expect((await query('{app="grpc-again"}', 10, 0)).found).to.deep.equal(['{app="grpc-again"} 1 one']);
  });

  it('asks for names, values and series', async () => {
    await push(pushOf({ '{app="grpc-names",unit="a"}': [[1, 'x']], '{app="grpc-names",unit="b"}': [[1, 'y']] }));
    const labels = (name: string, wantsValues: boolean): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const request = new loki.LabelRequest().setName(name).setValues(wantsValues).setStart(START).setEnd(END);
        querier.label(request, tenant, (error, answer) => (error ? reject(error) : resolve(answer.getValuesList())));
      });
    expect(await labels('', false)).to.include.members(['app', 'b', 'unit']);
    expect(await labels('unit', true)).to.deep.equal(['a', 'b']);
    const series: object[] = await new Promise((resolve, reject) => {
      const request = new loki.SeriesRequest().setStart(START).setEnd(END).setGroupsList(['{unit=~".+"}']);
      querier.series(request, tenant, (error, answer) =>
        error ? reject(error) : resolve(answer.getSeriesList().map((one) => one.getLabelsMap().toObject())),
      );
    });
    expect(series.map((pairs) => Object.fromEntries(pairs as [string, string][]))).to.have.deep.members([
      { app: 'grpc-names', unit: 'a' },
      { app: 'grpc-names', unit: 'b' },
    ]);
  });

  const samples = async (selector: string) => {
    const request = new loki.SampleQueryRequest().setSelector(selector).setStart(START).setEnd(END);
    const found: [string, number, number][] = [];
    for await (const response of querier.querySample(request, tenant)) {
      for (const one of (response as InstanceType<typeof loki.SampleQueryResponse>).getSeriesList()) {
        const hashes = new Set(one.getSamplesList().map((sample) => sample.getHash()));
        const sum = one.getSamplesList().reduce((total, sample) => total + sample.getValue(), 0);
        found.push([one.getLabels(), sum, hashes.size]);
      }
    }
    return found.sort();
  };

  it('gets samples line by line, summed up by nobody yet', async () => {
    const lines: Entry[] = [
      [1, 'level=info a'],
      [2, 'level=warn bb'],
      [3, 'level=info a'],
    ];
    await push(pushOf({ '{app="grpc-samples",unit="a"}': lines, '{app="grpc-samples",unit="b"}': [[1, 'x']] }));
    expect(await samples('rate({app="grpc-samples"}[1m])')).to.deep.equal([
      ['{app="grpc-samples", unit="a"}', 3, 2],
      ['{app="grpc-samples", unit="b"}', 1, 1],
    ]);
    expect(await samples('sum by (app) (bytes_over_time({app="grpc-samples"}[1m]))')).to.deep.equal([
      ['{app="grpc-samples"}', 38, 3],
    ]);
    expect(await samples('count_over_time({app="grpc-samples"} | logfmt | level="warn" [1m])')).to.deep.equal([
      ['{app="grpc-samples", level="warn", unit="a"}', 1, 1],
    ]);
    await push(
      pushOf({
        '{app="grpc-unwrapped"}': [
          [1, 'n=2.5'],
          [2, 'n=4 m=x'],
          [3, 'none'],
        ],
      }),
    );
    expect(await samples('sum_over_time({app="grpc-unwrapped"} | logfmt | drop m | unwrap n [1m])')).to.deep.equal([
      ['{app="grpc-unwrapped"}', 6.5, 2],
    ]);
  });

  it('names stored chunks, and asks for parts of the streams', async () => {
    const streams = Array.from({ length: 16 }, (_, index) => `{app="grpc-parts",unit="${index}"}`);
    await push(pushOf(Object.fromEntries(streams.map((labels) => [labels, [[1, labels]]]))));
    const found: string[] = [];
    for (const shard of ['0_of_2', '1_of_2']) {
      const request = new loki.QueryRequest().setSelector('{app="grpc-parts"}').setLimit(100);
      const lines: string[] = [];
      for await (const response of querier.query(request.setStart(START).setEnd(END).setShardsList([shard]), tenant)) {
        for (const stream of (response as InstanceType<typeof loki.QueryResponse>).getStreamsList()) {
          for (const entry of stream.getEntriesList()) lines.push(entry.getLine());
        }
      }
      expect(lines.length).to.be.within(1, streams.length - 1);
      found.push(...lines);
    }
    expect(found.sort()).to.deep.equal([...streams].sort());
    const chunkIds = (): Promise<string[]> =>
      new Promise((resolve, reject) => {
        const request = new loki.GetChunkIDsRequest().setMatchers('{app="grpc-parts"}').setStart(START).setEnd(END);
        querier.getChunkIDs(request, tenant, (error, answer) =>
          error ? reject(error) : resolve(answer.getChunkidsList()),
        );
      });
    expect(await chunkIds()).to.deep.equal([]);
    await fetch(`${rig.http}/flush`, { method: 'POST' });
    const ids = await chunkIds();
    expect(ids).to.have.length(streams.length);
    expect(ids[0]).to.match(/^fake\/[0-9a-f]+\/[0-9a-f]+:[0-9a-f]+:[0-9a-f]+$/);
  });

  it('tails what was and what comes, and is counted meanwhile', async () => {
    const count = (): Promise<number> =>
      new Promise((resolve, reject) => {
        querier.tailersCount(new loki.TailersCountRequest(), tenant, (error, answer) =>
          error ? reject(error) : resolve(answer.getCount()),
        );
      });
    await push(pushOf({ '{app="grpc-tail"}': [[1, 'was']] }));
    const request = new loki.TailRequest().setQuery('{app="grpc-tail"}').setLimit(10).setStart(START);
    const call = querier.tail(request, tenant);
    const seen: string[] = [];
    call.on('data', (response: InstanceType<typeof loki.TailResponse>) => {
      for (const entry of response.getStream()?.getEntriesList() ?? []) seen.push(entry.getLine());
    });
    call.on('error', () => undefined);
    await eventually('the tail to show what was', () => seen.length === 1);
    expect(await count()).to.equal(1);
    await push(pushOf({ '{app="grpc-tail"}': [[2, 'comes']] }));
    await eventually('the tail to show what comes', () => seen.length === 2);
    expect(seen).to.deep.equal(['was', 'comes']);
    call.cancel();
    await eventually('the tail to end', async () => (await count()) === 0);
  });

  it('hears why a query was refused: as UNKNOWN with the text alone', async () => {
    for (const [selector, text] of [
      ['{app=', /^parse error at line 1, col 6: syntax error/],
      ['rate({app="x"}[1m])', /^only log selector is supported$/],
    ] as const) {
      const error = await errorOf(query(selector, 1, 0));
      expect(error.code).to.equal(loki.status.UNKNOWN);
      expect(error.details).to.match(text);
    }
    const plain = await errorOf(samples('{app="x"}'));
    expect(plain.details).to.equal('only sample expression supported');
  });
});
