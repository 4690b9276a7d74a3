/** A node with its edges: what `ringlog serve` runs, until a signal ends it. */
import { setFlagsFromString } from 'node:v8';
import { type Logger, pino, stdSerializers } from 'pino';
import { type Config, configYaml } from './config.ts';
import { parseListenAddress } from './config-values.ts';
import type { EdgeOptions } from './http/edge-options.ts';
import { addEventLoopMetrics } from './http/event-loop-metrics.ts';
import { type RunningGrpcServer, startGrpcServer } from './http/grpc-server.ts';
import { EdgeMetrics } from './http/metrics.ts';
import { addMemberMetrics, addNodeMetrics, addReadyMetric } from './http/node-metrics.ts';
import { addRulerMetrics } from './http/ruler-metrics.ts';
import { type RunningHttpServer, startHttpServer } from './http/server.ts';
import type { ClusterServices } from './member/cluster-services.ts';
import { type NodeDeps, openNode, type RinglogNode } from './node.ts';
import { LargeBodies } from './protocol/large-bodies.ts';
import { decodeOtlpBody, decodeOtlpMessage, type OtlpMapping } from './protocol/otlp/otlp-body.ts';
import { otlpRulesOf } from './protocol/otlp/otlp-rules.ts';
import { DECODE_SLICE_MS, decodePushBody, decodePushMessage } from './protocol/push-body.ts';
import { strictest } from './protocol/strictest-limits.ts';
import { resolveTenant, resolveTenants, tenantsOf } from './protocol/tenant.ts';
import { TurnBudget } from './protocol/turn-budget.ts';
import { RuntimeLimits } from './runtime-limits.ts';
import { systemClock } from './system-clock.ts';

const CONNECTIONS_MAX = 10_000;
/** Request bodies in memory together, as sent and inflated, in bodies of the largest size. */
const LARGEST_BODIES_IN_FLIGHT = 4;
/** Two keep the inflating threads busy; the wait is as long as that for room in the streams (chosen). */
const LARGE_BODIES = { countMax: 2, waitMsMax: 5000, retryAfterMs: 1000 };
/** What the node has for its own stop when clients took all the time there was (chosen). */
const STOP_MS_MIN = 1000;
/** Exit code of a member that could not hand everything over: its disk is needed. */
const EXIT_NOT_DRAINED = 3;
const STOPPING = 'Application is stopping';
const STARTING = 'Application is starting';
/** Beyond `graceful_shutdown_timeout`: what closing takes when everything else took all the time (chosen). */
const END_REST_MS = 5_000;

export type EndReason = 'drain' | 'lost';

export interface RunningServer {
  /** undefined when switched off. */
  readonly httpAddress: string | undefined;
  readonly grpcAddress: string | undefined;
  readonly node: RinglogNode;
  /** Resolves when the process should end though nobody said so from outside: asked to drain over HTTP, or no member of its cluster any more. */
  readonly ending: Promise<EndReason>;
  /**
   * A member of a cluster hands everything over first: true if nothing is left on its disk. Otherwise, and for a node alone, what is unflushed is kept
   * for the next start.
   */
  leave(): Promise<boolean>;
  /** Stops accepting, answers what is running, keeps what is unflushed for the next start; by default within `graceful_shutdown_timeout`. */
  close(deadlineMs?: number): Promise<void>;
}

const edgeOptionsOf = (
  config: Config,
  metrics: EdgeMetrics,
  log: Logger,
  state: Pick<EdgeOptions, 'notReady' | 'isStarting'>,
  cluster: ClusterServices | undefined,
): EdgeOptions => {
  const pushLimits = {
    compressedBytesMax: config.server.max_push_size,
    decompressedBytesMax: config.server.max_push_size,
  };
  const resolveQueried = config.querier.multi_tenant_queries_enabled ? resolveTenants : resolveTenant;
  const turns = new TurnBudget(systemClock, DECODE_SLICE_MS);
  const large = new LargeBodies(systemClock, LARGE_BODIES);
  const otlpMapping = (tenant: string): OtlpMapping => ({
    rules: otlpRulesOf(config.limits.limitsFor(tenant).otlpConfig),
    nowMs: systemClock.nowMs(),
  });
  return {
    tenantOf: (header) => resolveTenant(header, config.auth_enabled),
    queriedTenantOf: (header) => resolveQueried(header, config.auth_enabled),
    limitsOf: (tenant) => strictest(tenantsOf(tenant).map((one) => config.limits.limitsFor(one))),
    decodePush: ({ bytes, ...how }) => decodePushBody({ ...how, body: bytes, limits: pushLimits, turns, large }),
    decodePushMessage: (bytes) => decodePushMessage(bytes, pushLimits, turns),
    decodeOtlp: ({ bytes, ...how }, tenant) =>
      decodeOtlpBody({ ...how, body: bytes, limits: pushLimits, turns, large }, otlpMapping(tenant)),
    decodeOtlpMessage: (body, tenant, memory) =>
      decodeOtlpMessage({ body, limits: pushLimits, turns, memory }, otlpMapping(tenant)),
    metrics,
    log,
    logLevel: {
      get: () => log.level,
      set: (level) => {
        log.level = level;
      },
    },
    configText: () => configYaml(config),
    ...state,
    nowMs: () => Date.now(),
    bodyBytesMax: config.server.max_push_size,
    bodyBytesInFlightMax: LARGEST_BODIES_IN_FLIGHT * config.server.max_push_size,
    tailMaxDurationMs: config.querier.tail_max_duration,
    cluster,
  };
};

/** @throws ConfigError */
const startRuntimeLimits = async ({ runtime_config, limits }: Config, log: Logger) => {
  const { file, period } = runtime_config;
  if (file === '') return undefined;
  return await RuntimeLimits.start({ file, periodMs: period, limits, clock: systemClock, log });
};

/**
 * Starts a node and what listens for it; `deps` stand in for its embedded parts.
 * @throws when an address is taken or the data folder cannot be used
 */
export const startServer = async (
  config: Config,
  version: string,
  log: Logger,
  deps: Omit<NodeDeps, 'log'> = {},
): Promise<RunningServer> => {
  let state: 'starting' | 'serving' | 'stopping' = 'starting';
  let end: (reason: EndReason) => void = () => undefined;
  const ending = new Promise<EndReason>((resolve) => {
    end = resolve;
  });
  const onLost = (reason: string): void => {
    log.error({ reason }, 'no member of the cluster any more');
    end('lost');
  };
  const runtimeLimits = await startRuntimeLimits(config, log);
  const metrics = new EdgeMetrics(version);
  const observer = metrics.nodeEvents;
  const node = await openNode(config, { onLost, observer, ...deps, log }).catch((error: unknown) => {
    runtimeLimits?.stop();
    throw error;
  });
  const member = node.cluster;
  const notReady = (): string | undefined => {
    if (state !== 'serving') return state === 'starting' ? STARTING : STOPPING;
    return member?.notReady();
  };
  const isStarting = (): boolean => state === 'starting';
  const cluster = member?.services(() => end('drain'));
  const options = edgeOptionsOf(config, metrics, log, { notReady, isStarting }, cluster);
  addNodeMetrics(metrics.registry, () => node.figures());
  addRulerMetrics(metrics.registry, () => node.ruler.figures);
  addReadyMetric(metrics.registry, () => notReady() ?? node.services.notReady());
  if (member) {
    addMemberMetrics(metrics.registry, {
      figures: () => member.figures,
      routing: () => member.routing.figures,
      handover: () => member.handover.figures,
      view: () => member.view,
    });
  }
  const stopEventLoopMetrics = addEventLoopMetrics(metrics.registry);
  const drainMs = config.server.graceful_shutdown_timeout;
  let http: RunningHttpServer | undefined;
  let grpc: RunningGrpcServer | undefined;
  const close = async (deadlineMs = drainMs): Promise<void> => {
    state = 'stopping';
    runtimeLimits?.stop();
    const endMs = systemClock.monotonicMs() + deadlineMs;
    await Promise.all([http?.close(deadlineMs), grpc?.close(deadlineMs)]);
    stopEventLoopMetrics();
    // One deadline for all of it, but what is acknowledged is always given a moment to be stored.
    await node.stop({ deadlineMs: Math.max(STOP_MS_MIN, endMs - systemClock.monotonicMs()) });
  };
  try {
    const httpListen = parseListenAddress(config.http_listen);
    const grpcListen = parseListenAddress(config.grpc_listen);
    if (grpcListen) {
      const receiveBytesMax = config.server.grpc_max_receive_size;
      grpc = await startGrpcServer(node.services, { ...options, ...grpcListen, receiveBytesMax, drainMs });
    }
    if (httpListen) {
      const requestTimeoutMs = config.server.http_read_timeout;
      http = await startHttpServer(node.services, {
        ...options,
        ...httpListen,
        requestTimeoutMs,
        connectionsMax: CONNECTIONS_MAX,
        drainMs,
      });
    }
    // Last: a member that cannot answer would stop the queries of all.
    await node.join(http?.address ?? 'off');
  } catch (error) {
    await close().catch((closeError: unknown) => log.error({ err: closeError }, 'did not close cleanly'));
    throw error;
  }
  // A client may have asked it to drain, or the cluster counted it out, while it joined.
  state = 'serving';
  const leave = async (): Promise<boolean> => {
    state = 'stopping';
    // What it evaluates is somebody else's as soon as it is no longer on the ring.
    await node.ruler.endEvaluations();
    return (await member?.leave(drainMs)) ?? false;
  };
  return { httpAddress: http?.address, grpcAddress: grpc?.address, node, ending, leave, close };
};

/**
 * Resolves at the first SIGTERM or SIGINT; a second one ends the process with 1.
 * @param followsInput the end of standard input is as good as the first
 */
const untilAsked = (log: Logger, followsInput: boolean): Promise<NodeJS.Signals | 'stdin ended'> =>
  new Promise((resolve) => {
    let isAsked = false;
    const onSignal = (signal: NodeJS.Signals | 'stdin ended'): void => {
      if (isAsked) return;
      isAsked = true;
      for (const name of ['SIGTERM', 'SIGINT'] as const) {
        process.off(name, onSignal);
        process.on(name, () => {
          log.warn('asked to stop again: not waiting any longer');
          process.exit(1);
        });
      }
      resolve(signal);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    if (followsInput) void untilInputEnds().then(() => onSignal('stdin ended'));
  });

/** Keeps no process alive. */
const untilInputEnds = (): Promise<void> =>
  new Promise((resolve) => {
    const { stdin } = process;
    for (const event of ['end', 'close', 'error']) stdin.once(event, () => resolve());
    stdin.resume();
    // A pipe has it, a file has not.
    if ('unref' in stdin) stdin.unref();
  });

/** Ends the process if it does not end by itself. */
const endSoon = (log: Logger, exitCode: number, afterMs: number): void => {
  setTimeout(() => {
    log.warn('the process did not end by itself');
    process.exit(exitCode);
  }, afterMs).unref();
};

/**
 * The heaps of a node's threads are collected again when they have doubled. V8 decides by how busy it finds the program, and has one that waits for its
 * cores, or for its turn to move streams, collect at a third more: marking 170 MB of streams once or twice in ten seconds took a quarter of the CPU of a
 * hand-over. Doubled heaps took no more memory there than before: what waits in buffers is more.
 */
const HEAP_GROWTH_PERCENT = 100;

/** Runs a node until it is told to stop, or until its standard input ends if it is to follow that. @returns the exit code */
export const serve = async (config: Config, version: string, followsInput = false): Promise<number> => {
  // Read at each collection: it may be set while the process runs. Who started node with it knows better.
  if (!process.execArgv.some((flag) => /^--heap.growing.percent/.test(flag))) {
    setFlagsFromString(`--heap-growing-percent=${HEAP_GROWTH_PERCENT}`);
  }
  const log = pino(
    // pino's own way adds the texts of the causes to ours, which have them already.
    { level: config.log_level, base: null, serializers: { err: stdSerializers.errWithCause } },
    pino.destination({ dest: 2, sync: true }),
  );
  const signalled = untilAsked(log, followsInput);
  const started = performance.now();
  let isStarting = true;
  void signalled.then(() => {
    // A start is as safe to cut as a crash is; what waits for a membership store may wait long.
    if (isStarting) endSoon(log, 1, config.server.graceful_shutdown_timeout);
  });
  const server = await startServer(config, version, log).catch((error: unknown) => {
    endSoon(log, 1, STOP_MS_MIN);
    throw error;
  });
  isStarting = false;
  log.info(
    {
      version,
      http: server.httpAddress ?? 'off',
      grpc: server.grpcAddress ?? 'off',
      dataDir: config.data_dir,
      startMs: Math.round(performance.now() - started),
    },
    'ringlog is serving',
  );
  const reason = await Promise.race([signalled, server.ending]);
  log.info({ reason }, 'stopping');
  const exitCode = await stop(server, reason === 'lost', config.server.graceful_shutdown_timeout, log);
  endSoon(log, exitCode, STOP_MS_MIN);
  return exitCode;
};

/** Leaves, then closes whatever came of it, all of it within `deadlineMs` and a rest. @returns the exit code */
const stop = async (server: RunningServer, isLost: boolean, deadlineMs: number, log: Logger): Promise<number> => {
  const isLeaving = server.node.cluster !== undefined && !isLost;
  const endMs = systemClock.monotonicMs() + deadlineMs;
  endSoon(log, isLeaving ? EXIT_NOT_DRAINED : 1, deadlineMs + END_REST_MS);
  const isDiskEmpty = isLeaving ? await left(server, log) : undefined;
  const exitCode = isDiskEmpty === false ? EXIT_NOT_DRAINED : Number(isLost);
  try {
    await server.close(Math.max(STOP_MS_MIN, endMs - systemClock.monotonicMs()));
    log.info(isDiskEmpty === undefined ? {} : { isDiskEmpty }, 'stopped');
    return exitCode;
  } catch (error) {
    log.error({ err: error }, 'did not stop cleanly');
    return exitCode || 1;
  }
};

const left = async (server: RunningServer, log: Logger): Promise<boolean> => {
  try {
    return await server.leave();
  } catch (error) {
    log.error({ err: error }, 'could not leave the cluster: the disk is needed');
    return false;
  }
};
