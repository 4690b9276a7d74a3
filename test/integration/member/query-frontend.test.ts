/** A query that is spread over nodes, and many of them at a time: what each node does, in units of work. */
import { expect } from 'chai';
import loki from 'loki-grpc-client';
import { request } from 'undici';
import { WebSocket } from 'ws';
import { startGrpcServer } from '../../../src/http/grpc-server.ts';
import { startHttpServer } from '../../../src/http/server.ts';
import { CallKind } from '../../../src/member/call-kinds.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { QueryRequest, QueryResult } from '../../../src/query/query-messages.ts';
import { linesOf, logRequest, sharedWorkers } from '../../support/cluster.ts';
import { ClusterRig } from '../../support/cluster-rig.ts';
import { entryAt, pushOf, T0_MS, T0_NS } from '../../support/entries.ts';
import { eventually } from '../../support/eventually.ts';
import { WatchedCalls, WatchedPool } from '../../support/watched-scans.ts';
import { stubOptions } from '../http/stub-services.ts';

const STREAMS = 12;
const ROUNDS = 6;
const ENTRIES = 50;
const ALL = '{app=~".+"}';
const COUNT: Partial<QueryRequest> = { isInstant: true, startNs: T0_NS + 10n ** 12n, endNs: T0_NS + 10n ** 12n };
const COUNTED = `sum(count_over_time(${ALL}[1d]))`;
const LINES = STREAMS * ROUNDS * ENTRIES;

describe('a query spread over nodes', function () {
  this.timeout(120_000);
  let rig: ClusterRig;
  let pools: Map<string, WatchedPool>;
  let calls: Map<string, WatchedCalls>;

  const open = async (settings: object = {}, nodeIds: readonly string[] = ['a', 'b']): Promise<void> => {
    rig = await ClusterRig.open({ ...settings, query_range: { cache_results: false } });
    pools = new Map(nodeIds.map((nodeId) => [nodeId, new WatchedPool()]));
    calls = new Map(nodeIds.map((nodeId) => [nodeId, new WatchedCalls()]));
    for (const nodeId of nodeIds) {
      const scan = pools.get(nodeId) as WatchedPool;
      const startPeers = calls.get(nodeId)?.startPeers;
      await rig.start(nodeId, { workers: { cut: sharedWorkers().cut, scan }, ...(startPeers && { startPeers }) });
    }
    await eventually('all know all', () =>
      [...rig.nodes.values()].every(({ node }) => node.cluster?.ring.members.length === nodeIds.length),
    );
  };
  afterEach(async () => {
    for (const pool of pools.values()) pool.letGo();
    await rig.close();
    for (const pool of pools.values()) await pool.close();
  });

  /** Chunks of each stream, one a round. */
  const store = async (tenant = 'tenant'): Promise<void> => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const streams = Object.fromEntries(
        Array.from({ length: STREAMS }, (_, stream) => {
          const first = round * ENTRIES;
          const entries = Array.from({ length: ENTRIES }, (_, index) =>
            entryAt(first + index, `line ${first + index}`),
          );
          return [`{app="app-${stream}"}`, entries];
        }),
      );
      const { refusal } = await rig.node('a').node.services.push(tenant, pushOf(streams));
      expect(refusal).to.equal(undefined);
      for (const { node } of rig.nodes.values()) await node.services.flush();
    }
  };
  const services = () => rig.node('a').node.services;
  const ask = (query: string, more: Partial<QueryRequest> = {}): Promise<QueryResult> =>
    services().queryAll(logRequest(query, more), new AbortController().signal);
  const countOf = (result: QueryResult): unknown => (result.type === 'vector' ? result.series[0]?.values[0] : result);
  const hold = (): void => {
    for (const pool of pools.values()) pool.isHeld = true;
  };
  const letGo = (): void => {
    for (const pool of pools.values()) pool.letGo();
  };
  const unsettled = (): number[] => [...pools.values()].map((pool) => pool.unsettled);
  const scansAtAll = (): Promise<void> =>
    eventually('all nodes scan', () => unsettled().every((count) => count > 0), unsettled);
  const openCalls = (): number[] =>
    [...calls.values()].flatMap((one) => [CallKind.SELECT, CallKind.SCAN, CallKind.TAIL].map((kind) => one.open(kind)));
  const allStopped = (): Promise<void> =>
    eventually(
      'nothing is done for it anywhere',
      () => unsettled().every((count) => count === 0) && openCalls().every((count) => count === 0),
      () => [unsettled(), openCalls()],
    );

  describe('whose client goes away', () => {
    /** One query at a time: the next one has its turn only once the first has left. */
    beforeEach(async () => {
      await open({ querier: { max_concurrent: 1, scan_workers: 1 } });
      await store();
      // Something of it is held by nodes, too.
      await rig.push(
        'a',
        Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`{new="${at}"}`, [entryAt(1, 'x')]])),
      );
      hold();
    });
    const next = async (): Promise<void> => {
      await allStopped();
      letGo();
      expect(countOf(await ask(COUNTED, COUNT))).to.equal(LINES);
    };
    const options = () => ({ ...stubOptions({ tenantOf: () => 'tenant', nowMs: () => T0_MS + 60_000 }) });

    for (const query of [COUNTED, ALL]) {
      it(`stops on all nodes, over HTTP: ${query}`, async () => {
        const server = await startHttpServer(services(), options());
        const gone = new AbortController();
        const path = `http://${server.address}/loki/api/v1/query_range?query=${encodeURIComponent(query)}&step=60`;
        const range = `&start=${T0_NS}&end=${T0_NS + 3_600_000_000_000n}`;
        const headers = { 'x-scope-orgid': 'tenant' };
        const answer = request(path + range, { signal: gone.signal, headers }).catch((error: Error) => error.name);
        await scansAtAll();
        gone.abort();
        expect(await answer).to.equal('AbortError');
        await next();
        await server.close();
      });
    }

    it('stops on all nodes, over gRPC', async () => {
      const server = await startGrpcServer(services(), { ...options(), receiveBytesMax: 1 << 20 });
      const client = new loki.QuerierClient(server.address, loki.createInsecureCredentials());
      const timestamp = (ms: number) => new loki.Timestamp().setSeconds(ms / 1000);
      const asked = new loki.QueryRequest()
        .setSelector(ALL)
        .setLimit(100)
        .setStart(timestamp(T0_MS))
        .setEnd(timestamp(T0_MS + 60_000));
      const call = client.query(asked, loki.createOrgIdMetadata('tenant'));
      const failed = new Promise<string>((resolve) => call.on('error', ({ message }: Error) => resolve(message)));
      call.resume();
      await scansAtAll();
      call.cancel();
      expect(await failed).to.match(/cancel/i);
      await next();
      client.close();
      await server.close();
    });

    it('stops on all nodes, for a tail that looks up what was, and for one that waits', async () => {
      const server = await startHttpServer(services(), options());
      const url = `ws://${server.address}/loki/api/v1/tail?query=${encodeURIComponent(ALL)}&start=${T0_NS}`;
      const early = new WebSocket(url);
      await scansAtAll();
      early.terminate();
      await allStopped();
      letGo();
      const late = new WebSocket(url);
      await new Promise((resolve) => late.once('message', resolve));
      await eventually('b tells what is appended', () => calls.get('b')?.open(CallKind.TAIL) === 1);
      late.close();
      await next();
      await server.close();
    });
  });

  it('waits for its turn no longer than it may, or somebody wants it, and leaves the line', async () => {
    await open({ querier: { max_concurrent: 1, max_outstanding_per_tenant: 2, scan_workers: 1 } });
    await store();
    hold();
    const figures = () => rig.node('a').node.figures().queries;
    const running = ask(COUNTED, COUNT);
    await scansAtAll();
    const codeOf = (answer: Promise<QueryResult>): Promise<string> =>
      answer.then(
        () => 'answered',
        (error: unknown) => (error instanceof RefusedError ? error.refusal.code : String(error)),
      );
    const limits = { timeoutMs: 100, bytesReadMax: 0, seriesMax: 0 };
    const impatient = codeOf(ask(COUNTED, { ...COUNT, limits }));
    const gone = new AbortController();
    const left = codeOf(services().queryAll(logRequest(ALL), gone.signal));
    expect(figures()).to.deep.equal({ running: 1, waiting: 2 });
    expect(await codeOf(ask(ALL))).to.equal('OVERLOADED');
    const other = codeOf(ask(ALL, { tenant: 'other' }));
    expect(await other, 'another tenant').to.equal('answered');
    gone.abort();
    expect([await impatient, await left]).to.deep.equal(['DEADLINE_EXCEEDED', 'CANCELLED']);
    expect(figures()).to.deep.equal({ running: 1, waiting: 0 });
    letGo();
    expect(countOf(await running)).to.equal(LINES);
    await eventually('it has left', () => figures().running === 0, figures);
  });

  it('has the whole answer when a node ends in the middle of a scan', async () => {
    await open({}, ['a', 'b', 'c']);
    await store();
    for (const query of [COUNTED, ALL]) {
      hold();
      const answer = ask(query, query === ALL ? {} : COUNT);
      await eventually(
        'b and c scan',
        () =>
          unsettled()
            .slice(1)
            .some((count) => count > 0),
        unsettled,
      );
      const [[victim] = ['b']] = [...pools]
        .slice(1)
        .filter(([nodeId, pool]) => pool.unsettled > 0 && rig.nodes.has(nodeId));
      await rig.kill(victim);
      letGo();
      const result = await answer;
      if (result.type !== 'streams') expect(countOf(result)).to.equal(LINES);
      else expect(result.streams.flatMap(({ entries }) => entries)).to.have.lengthOf(LINES);
      await rig.start(victim, { workers: { cut: sharedWorkers().cut, scan: pools.get(victim) as WatchedPool } });
    }
  });

  it('reads little where little is asked for', async () => {
    await open();
    await store();
    const whole = await ask(ALL);
    const few = await ask(ALL, { limit: 5 });
    expect(whole.statistics.entriesReturned).to.equal(LINES);
    expect(few.statistics.entriesReturned).to.equal(5);
    expect(few.statistics.chunksDownloaded).to.be.at.most(2 * STREAMS);
    expect(whole.statistics.chunksDownloaded).to.be.at.least(STREAMS * ROUNDS);
    await allStopped();
  });

  it('has no more tasks at a time than it may, over all nodes', async () => {
    await open();
    await store();
    const tasks = () => unsettled().reduce((sum, count) => sum + count, 0);
    for (const tasksMax of [1, 3]) {
      for (const query of [COUNTED, ALL]) {
        hold();
        const limits = { timeoutMs: 20_000, bytesReadMax: 0, seriesMax: 0, tasksMax };
        const answer = ask(query, { ...(query === ALL ? {} : COUNT), limits });
        await eventually(`${tasksMax} tasks`, () => tasks() === tasksMax, unsettled);
        for (let look = 0; look < 20; look += 1) {
          await new Promise((resolve) => setImmediate(resolve));
          expect(tasks()).to.be.at.most(tasksMax);
        }
        letGo();
        await answer;
      }
    }
  });

  it('waits for a bounded number of tasks of a tenant that has very many', async () => {
    await open({ querier: { max_concurrent: 8, max_concurrent_of_node: 8, scan_workers: 1 } });
    await store('many');
    await store('few');
    const ofTenant = (tenant: string) =>
      [...pools.values()].flatMap((pool) => pool.ended.filter((one) => one.tenant === tenant));
    await ask(COUNTED, { ...COUNT, tenant: 'many' });
    const tasksOfOne = ofTenant('many').length;
    expect(tasksOfOne).to.be.above(STREAMS);
    let answered = 0;
    const flood = Array.from({ length: 60 }, async () => {
      await ask(COUNTED, { ...COUNT, tenant: 'many' });
      answered += 1;
    });
    await eventually('the flood runs', () => answered > 2);
    const before = answered;
    expect(countOf(await ask(COUNTED, { ...COUNT, tenant: 'few' }))).to.equal(LINES);
    // Its turn comes after two that end, and meanwhile those that ran with these may end as well; then both have every second task.
    expect(answered - before, 'queries that were answered before it').to.be.at.most(2 * 8 + 2);
    const tasks = ofTenant('few');
    expect(tasks.length).to.be.above(STREAMS);
    for (const { ownAhead, othersBefore } of tasks) expect(othersBefore).to.be.at.most(ownAhead + 2);
    await Promise.all(flood);
    expect(ofTenant('many').length).to.equal(61 * tasksOfOne);
    expect(await linesOf(rig.node('b').node, ALL, { tenant: 'few' })).to.have.lengthOf(LINES);
  });
});
