/** Loki's `logproto.Querier` at nodes of a cluster: each answers for all of them, from memory and store. Field numbers are those of Loki's proto. */
import { expect } from 'chai';
import { type RunningGrpcServer, startGrpcServer } from '../../../src/http/grpc-server.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, MS_NS, T0_MS, T0_NS } from '../../support/entries.ts';
import { callStream, callUnary } from '../../support/grpc-calls.ts';
import { integer, message, messages, number, text, texts, time, type Write } from '../../support/grpc-fields.ts';
import { stubOptions } from '../http/stub-services.ts';

const STREAMS = 12;
const ENTRIES = 20;
const HOUR_NS = 3_600_000n * MS_NS;
const NODES = ['a', 'b', 'c'];

const lineOf = (stream: number, index: number): string => `level=info n=${index} stream=${stream}`;

describe('logproto.Querier of a cluster', function () {
  this.timeout(60_000);
  let rig: ClusterRig;
  const servers = new Map<string, RunningGrpcServer>();

  before(async () => {
    rig = await ClusterRig.open();
    for (const nodeId of NODES) {
      const { node } = await rig.start(nodeId);
      const options = stubOptions({
        limitsOf: () => ({ ...DEFAULT_LIMITS, maxQueryLengthMs: 0, maxEntriesLimitPerQuery: 0 }),
      });
      servers.set(nodeId, await startGrpcServer(node.services, { ...options, receiveBytesMax: 4 << 20, drainMs: 100 }));
    }
    await push(0);
    for (const { node } of rig.nodes.values()) await node.services.flush();
    await push(1);
  });
  after(async () => {
    for (const server of servers.values()) await server.close();
    await rig.close();
  });

  /** Half of the entries of each stream are stored, half are in memory. */
  const push = async (half: number): Promise<void> => {
    const streams = Object.fromEntries(
      Array.from({ length: STREAMS }, (_, stream) => [
        `{app="app-${stream % 3}", pod="p${stream}"}`,
        Array.from({ length: ENTRIES / 2 }, (_, index) => {
          const at = half * (ENTRIES / 2) + index;
          return entryAt(at, lineOf(stream, at));
        }),
      ]),
    );
    expect((await rig.push('a', streams)).refusal).to.equal(undefined);
  };
  const unary = (nodeId: string, name: string, bytes: Buffer): Promise<Buffer> =>
    callUnary(servers.get(nodeId)?.address ?? '', `/logproto.Querier/${name}`, bytes, 'tenant');
  const streamed = (nodeId: string, name: string, bytes: Buffer): Promise<Buffer[]> =>
    callStream(servers.get(nodeId)?.address ?? '', `/logproto.Querier/${name}`, bytes, 'tenant');
  const startMs = integer(1, T0_MS - 3_600_000);
  const endMs = integer(2, T0_MS + 3_600_000);
  const [startNs, endNs] = [T0_NS - HOUR_NS, T0_NS + HOUR_NS];

  for (const nodeId of NODES) {
    describe(`asked at ${nodeId}`, () => {
      it('counts streams, entries and bytes, each once', async () => {
        const answer = await unary(nodeId, 'GetStats', message(startMs, endMs, text(3, '{app=~".+"}')));
        const [streams, chunks, bytes, entries] = [1, 2, 3, 4].map((field) => number(answer, field));
        expect([streams, chunks, entries]).to.deep.equal([STREAMS, 2 * STREAMS, STREAMS * ENTRIES]);
        expect(bytes).to.be.within(STREAMS * ENTRIES * lineOf(0, 0).length, STREAMS * ENTRIES * 40);
      });

      it('says how much each series and each label holds, the largest first', async () => {
        const volumesOf = async (...fields: readonly Write[]) => {
          const answer = await unary(nodeId, 'GetVolume', message(startMs, endMs, ...fields));
          const volumes = messages(answer, 1).map((one) => ({ name: texts(one, 1)[0], bytes: number(one, 3) }));
          return { volumes, limit: number(answer, 2) };
        };
        const byApp = await volumesOf(text(3, '{}'), integer(4, 2), text(6, 'app'));
        expect(byApp.limit).to.equal(2);
        expect(byApp.volumes.map(({ name }) => name)).to.have.length(2);
        for (const { name, bytes } of byApp.volumes) {
          expect(name).to.match(/^\{app="app-\d"\}$/);
          expect(bytes).to.be.above((STREAMS / 3) * ENTRIES * lineOf(0, 0).length - 1);
        }
        const byLabel = await volumesOf(text(3, '{app="app-1"}'), text(7, 'labels'));
        expect(byLabel.volumes.map(({ name }) => name).sort()).to.deep.equal(['app', 'pod']);
        const [app, pod] = byLabel.volumes;
        expect([byLabel.limit, app?.bytes]).to.deep.equal([100, pod?.bytes]);
      });

      it('names the stored chunks, and those of a selector and a time alone', async () => {
        const idsOf = async (selector: string, start = startNs) =>
          texts(await unary(nodeId, 'GetChunkIDs', message(text(1, selector), time(2, start), time(3, endNs))), 1);
        const ids = await idsOf('{app=~".+"}');
        expect([...ids].sort()).to.deep.equal([...rig.chunks.objects.keys()].sort());
        expect(await idsOf('{pod="p3"}')).to.have.length(1);
        expect(ids).to.include.members(await idsOf('{pod="p3"}'));
        expect(await idsOf('{app=~".+"}', T0_NS + HOUR_NS / 2n)).to.deep.equal([]);
      });

      it('finds labels with their values, and fields of lines', async () => {
        const asked = [time(1, startNs), time(2, endNs)];
        const labels = await unary(nodeId, 'GetDetectedLabels', message(...asked));
        const found = new Map(
          messages(labels, 1).map((one) => [texts(one, 1)[0], texts(messages(one, 2)[0] ?? Buffer.alloc(0), 1).sort()]),
        );
        expect([...found.keys()].sort()).to.deep.equal(['app', 'pod']);
        expect(found.get('app')).to.deep.equal(['app-0', 'app-1', 'app-2']);
        expect(found.get('pod')).to.have.length(STREAMS);
        const query = text(3, '{app=~".+"}');
        const fields = await unary(nodeId, 'GetDetectedFields', message(...asked, query, integer(4, 1000)));
        const shown = messages(fields, 1).map((one) => [
          texts(one, 1)[0],
          texts(one, 2)[0],
          number(one, 3),
          texts(one, 4),
        ]);
        expect(shown).to.deep.equal([
          ['level', 'string', 1, ['logfmt']],
          ['n', 'int', ENTRIES, ['logfmt']],
          ['stream', 'int', STREAMS, ['logfmt']],
        ]);
        expect(number(fields, 2)).to.equal(1000);
        const values = message(...asked, query, integer(4, 1000), integer(5, 3), integer(7, 1), text(8, 'stream'));
        const answer = await unary(nodeId, 'GetDetectedFields', values);
        expect([texts(answer, 3).length, number(answer, 2), messages(answer, 1)]).to.deep.equal([3, 3, []]);
      });

      const linesOf = async (...fields: readonly Write[]): Promise<string[]> => {
        const asked = [integer(2, 0), time(3, startNs), time(4, endNs)];
        const answers = await streamed(nodeId, 'Query', message(text(1, '{app=~".+"}'), ...asked, ...fields));
        const streams = answers.flatMap((answer) => messages(answer, 1));
        return streams.flatMap((stream) => messages(stream, 2)).map((entry) => texts(entry, 2)[0] ?? '');
      };
      const ALL = Array.from({ length: STREAMS * ENTRIES }, (_, place) =>
        lineOf(Math.floor(place / ENTRIES), place % ENTRIES),
      ).sort();

      it('answers for each shard its own part: together they are everything, each entry once', async () => {
        const parts: string[][] = [];
        for (let shard = 0; shard < 4; shard += 1) parts.push(await linesOf(text(7, `${shard}_of_4`)));
        expect(parts.flat().sort()).to.deep.equal(ALL);
        expect(parts.filter((part) => part.length > 0).length, 'shards with streams').to.be.above(1);
        const bounds = (min: string, max: string) => text(7, JSON.stringify({ bounds: { min, max }, stats: null }));
        const low = await linesOf(bounds('0000000000000000', '7fffffffffffffff'));
        expect(low.sort()).to.deep.equal([...(parts[0] ?? []), ...(parts[1] ?? [])].sort());
        const series: string[] = [];
        for (const shard of ['0_of_2', '1_of_2']) {
          const answer = await unary(nodeId, 'Series', message(time(1, startNs), time(2, endNs), text(4, shard)));
          series.push(
            ...messages(answer, 1).map((one) =>
              messages(one, 1)
                .flatMap((pair) => texts(pair, 2))
                .join(),
            ),
          );
        }
        expect(new Set(series).size).to.equal(STREAMS);
        expect(series).to.have.length(STREAMS);
      });

      it('refuses shards that it cannot read, and several at once', async () => {
        for (const shards of [['3_of_3'], ['4_of_4'], ['x'], ['0_of_2', '1_of_2']]) {
          const error = await linesOf(...shards.map((shard) => text(7, shard))).catch((failure) => failure);
          expect([error.code, error.details], shards.join()).to.deep.equal([
            2,
            shards.length > 1
              ? 'only one shard per ingester query is supported'
              : `failed to parse shard: ${shards[0]}`,
          ]);
        }
      });

      it('leaves out what the client knows to be deleted, ends included', async () => {
        const deleted =
          (selector: string, first: bigint, last: bigint): Write =>
          (writer) =>
            writer.message(8, () => {
              for (const write of [text(1, selector), integer(2, first), integer(3, last)]) write(writer);
            });
        const from = T0_NS + 5n * MS_NS;
        const left = await linesOf(
          deleted('{pod="p3"}', from, T0_NS + 14n * MS_NS),
          deleted('{pod="p4"} |= "n=7 "', startNs, endNs),
        );
        const gone = ALL.filter((line) => !left.includes(line));
        const expected = Array.from({ length: 10 }, (_, index) => lineOf(3, 5 + index));
        expect(gone).to.deep.equal([...expected, lineOf(4, 7)].sort());
        const counted = await samplesOf('count_over_time({app=~".+"}[1h])', (writer) =>
          writer.message(5, () => {
            for (const write of [text(1, '{pod="p3"}'), integer(2, startNs), integer(3, endNs)]) write(writer);
          }),
        );
        expect([counted.size, counted.has('{app="app-0", pod="p3"}')]).to.deep.equal([STREAMS - 1, false]);
      });

      /** Values of each series. */
      const samplesOf = async (query: string, ...fields: readonly Write[]): Promise<ReadonlyMap<string, number[]>> => {
        const asked = [text(1, query), time(2, startNs), time(3, endNs)];
        const found = new Map<string, number[]>();
        for (const answer of await streamed(nodeId, 'QuerySample', message(...asked, ...fields))) {
          for (const series of messages(answer, 1)) {
            const name = texts(series, 1)[0] ?? '';
            const values = messages(series, 2).map((one) => messages(one, 2)[0]?.readDoubleLE() ?? 0);
            found.set(name, [...(found.get(name) ?? []), ...values]);
          }
        }
        return found;
      };

      it('sends unwrapped values, without the label that they are of', async () => {
        const perStream = await samplesOf('max_over_time({pod="p5"} | logfmt | unwrap n [1h])');
        expect([...perStream.keys()]).to.deep.equal(['{app="app-2", level="info", pod="p5", stream="5"}']);
        expect([...perStream.values()].flat().sort((x, y) => x - y)).to.deep.equal(
          Array.from({ length: ENTRIES }, (_, index) => index),
        );
        const grouped = await samplesOf(
          'sum by (app) (sum_over_time({app="app-1"} | logfmt | unwrap n | n > 17 [1h]))',
        );
        expect([...grouped].map(([name, values]) => [name, values.length])).to.deep.equal([
          ['{app="app-1"}', 2 * (STREAMS / 3)],
        ]);
        const own = await samplesOf('avg_over_time({app="app-1"} | logfmt | unwrap n [1h]) by (level)');
        expect([...own].map(([name, values]) => [name, values.length])).to.deep.equal([
          ['{level="info"}', ENTRIES * (STREAMS / 3)],
        ]);
        const missing = await samplesOf('sum_over_time({pod="p5"} | logfmt | unwrap nothing [1h])');
        expect(missing.size).to.equal(0);
      });

      it('tells a value that is none by its error, with all labels', async () => {
        const [[name, values] = ['', []]] = await samplesOf('sum_over_time({pod="p5"} | logfmt | unwrap level [1h])');
        expect(name).to.contain('__error__="SampleExtractionErr"').and.contain('level="info"');
        expect(new Set(values)).to.deep.equal(new Set([0]));
      });

      it('refuses samples of several selectors, which could not be told apart', async () => {
        const error = await samplesOf('rate({pod="p5"}[1h]) / rate({pod="p6"}[1h])').catch((failure) => failure);
        expect([error.code, error.details]).to.deep.equal([
          12,
          'samples of several selectors in one answer cannot be told apart: ask for those of one at a time',
        ]);
        const none = await samplesOf('vector(1)').catch((failure) => failure);
        expect([none.code, none.details]).to.deep.equal([2, 'only sample expression supported']);
      });
    });
  }
});
