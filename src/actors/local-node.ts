import { type Ref, start, stop } from 'nact';
import type { BlockData } from '../chunk/memory-format.ts';
import { IngestionRateLimiter } from '../protocol/rate-limiter.ts';
import type { QueryCommand, QueryRequest } from '../query/query-messages.ts';
import { chunkFormatOf, periodAt } from '../storage/schema-config.ts';
import type { CutTask } from '../workers/cut-worker.ts';
import { AppendBudget } from './append-budget.ts';
import type { ForwardedStream, StreamAppend } from './append-router.ts';
import { gather } from './ask.ts';
import { ChunkJobs } from './chunk-jobs.ts';
import { CommitTidier } from './commit-tidier.ts';
import { CompressionGauge } from './compression-gauge.ts';
import { forEachInSlices } from './cooperative.ts';
import { Cutter } from './cutter.ts';
import { Distributor } from './distributor.ts';
import { FlushPressure } from './flush-pressure.ts';
import { Flusher } from './flusher.ts';
import { HeadBudget } from './head-budget.ts';
import type { LocalNodeDeps, LocalNodeOptions, NodeFigures } from './local-node-options.ts';
import { LoggedBlocks } from './logged-blocks.ts';
import { LoggedFlusher } from './logged-flusher.ts';
import { MemoryGuard } from './memory-guard.ts';
import { StreamMemory, showToTails } from './memory-source.ts';
import { NodeQueries } from './node-queries.ts';
import type { NodeServices } from './node-services.ts';
import type { QueryReader } from './querier.ts';
import { SegmentLog } from './segment-log.ts';
import { streamSpawner, tell } from './stream.ts';
import type { MovedSegment, StreamCell } from './stream-cell.ts';
import { StreamDirectory } from './stream-directory.ts';
import { StreamMoves } from './stream-moves.ts';
import type { AppendOutcome, StreamSurroundings } from './stream-state.ts';
import { Sweeper } from './sweeper.ts';
import { forEachUnflushed, type UnflushedStream } from './unflushed-streams.ts';

/** A slice of telling all streams something: each costs a turn of the loop again when it is handled. */
const TELL_SLICE_MS = 1;

/** The actors of one node and what connects them. Knows ports only; src/node.ts brings the drivers. */
export class LocalNode {
  readonly #deps: LocalNodeDeps;
  readonly #options: LocalNodeOptions;
  readonly #system: Ref<never>;
  readonly #directory: StreamDirectory;
  readonly #memory: StreamMemory;
  readonly #budget: AppendBudget;
  readonly #heads: HeadBudget;
  readonly #guard: MemoryGuard;
  readonly #cutter: Cutter;
  readonly #flusher: Flusher;
  readonly #segmentLog: SegmentLog | undefined;
  readonly #blocks: LoggedBlocks | undefined;
  readonly #jobs: ChunkJobs;
  readonly #pressure: FlushPressure;
  readonly #loggedFlusher: LoggedFlusher | undefined;
  readonly #compression = new CompressionGauge();
  readonly #commitTidier: CommitTidier;
  readonly #sweeper: Sweeper;
  readonly #distributor: Distributor;
  readonly #queries: NodeQueries;
  readonly services: NodeServices;
  /** Moves of streams to other nodes; undefined without a log. */
  readonly moves: StreamMoves | undefined;
  #crashes = 0;
  #isStopping = false;

  constructor(options: LocalNodeOptions, deps: LocalNodeDeps) {
    const { clock, report } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#system = start() as Ref<never>;
    this.#budget = new AppendBudget(clock, options.append);
    this.#directory = new StreamDirectory({
      system: this.#system,
      clock,
      spawnStream: this.#streamSpawner(),
      loggedOf: (tenant, labels) => deps.logged?.find(tenant, labels),
    });
    this.#linkLogged();
    this.#memory = new StreamMemory(this.#directory, clock, deps.logged);
    this.#heads = new HeadBudget(options.headBytesMax, (cell) => tell(cell, { type: 'cut-early' }));
    this.#guard = new MemoryGuard({
      directory: this.#directory,
      tell,
      report,
      clock,
      bytesMax: options.unflushedBytesMax,
      canSpill: deps.logged !== undefined,
    });
    this.#blocks = this.#newLoggedBlocks();
    this.#cutter = new Cutter({
      clock,
      run: this.#cut,
      concurrencyMax: options.cutConcurrencyMax,
      encoding: options.encoding,
      level: options.level,
      budget: this.#budget,
      tell,
      report,
    });
    this.#segmentLog = deps.log && new SegmentLog({ log: deps.log, clock, index: deps.index, tell, report });
    this.#flusher = this.#newFlusher();
    this.#jobs = new ChunkJobs({
      logged: deps.logged,
      blocks: this.#blocks,
      stored: (cell, held) => tell(cell, { type: 'stored', held }),
      report,
    });
    this.#pressure = new FlushPressure(
      options.rules,
      () => deps.log?.figures,
      () => this.#flusher.figures.pending <= options.flushConcurrencyMax,
    );
    this.#loggedFlusher = this.#newLoggedFlusher();
    void this.#blocks?.sample();
    this.moves = this.#newMoves();
    this.#commitTidier = new CommitTidier({ clock, index: deps.index, log: deps.log, report });
    this.#sweeper = new Sweeper({
      clock,
      directory: this.#directory,
      rules: () => this.#pressure.look(),
      periodMs: options.flushCheckMs,
      tell,
      report,
      swept: () => void this.#loggedFlusher?.sweep(),
    });
    this.#distributor = new Distributor({
      clock,
      directory: this.#directory,
      limits: options.limits,
      rateLimiter: new IngestionRateLimiter(() => clock.monotonicMs()),
      budget: this.#budget,
      guard: this.#guard,
      router: deps.router,
      logRefusal: () => deps.log?.refusal,
      tell,
      keepsMetadata: (nowMs) => chunkFormatOf(periodAt(options.schema, nowMs)) === 4,
      labelCacheBytes: options.labelCacheBytes,
      chunkAgeMs: Number(options.rules.ageNs / 1_000_000n),
    });
    this.#queries = new NodeQueries(this.#system, options, deps, this.#memory, this.#budget.pressure);
    this.services = this.#newServices();
  }

  get figures(): NodeFigures {
    return {
      streams: this.#directory.size,
      streamsCreated: this.#directory.created,
      streamCrashes: this.#crashes,
      headBytes: this.#heads.bytes,
      headBytesMax: this.#options.headBytesMax,
      unflushedBytes: this.#guard.bytes,
      unflushedBytesMax: this.#options.unflushedBytesMax,
      appendBytesInFlight: this.#budget.bytes,
      pushesWaiting: this.#budget.waiting,
      queries: this.#queries.figures,
      cutsPending: this.#cutter.pending,
      flush: this.#flusher.figures,
      recoveredSegments: this.#deps.logged?.size ?? 0,
      compressionRatio: this.#compression.ratio,
      log: this.#deps.log?.figures,
    };
  }

  /** What the streams of this node hold, whoever asks. */
  get memory(): StreamMemory {
    return this.#memory;
  }

  /** Streams that have something unflushed, without holding up the event loop. */
  async forEachUnflushed(visit: (stream: UnflushedStream) => void): Promise<void> {
    const { logged, clock } = this.#deps;
    await forEachUnflushed({ directory: this.#directory, logged, clock }, visit);
  }

  /** See Distributor.appendForwarded. */
  appendForwarded(
    tenant: string,
    streams: readonly ForwardedStream[],
    bytes: number,
    deadlineMs: number,
  ): Promise<readonly AppendOutcome[]> {
    return this.#distributor.appendForwarded(tenant, streams, bytes, deadlineMs);
  }

  /** See Distributor.appendHere. */
  appendHere(tenant: string, appends: readonly StreamAppend[]): Promise<readonly AppendOutcome[]> {
    return this.#distributor.appendHere(tenant, appends);
  }

  /** Spawns the actor of a query: see spawnQuery. */
  spawnQuery(request: QueryRequest, reader: QueryReader): Ref<QueryCommand> {
    return this.#queries.spawn(request, reader);
  }

  /** Looks for idle, old and passive streams now instead of at the next period. */
  async sweep(): Promise<void> {
    await this.#sweeper.sweep();
    await this.#loggedFlusher?.sweep();
  }

  /** Stores what is unflushed now. @throws RefusedError DEADLINE_EXCEEDED if that takes longer; it goes on all the same */
  async flush(timeoutMs: number): Promise<void> {
    const { clock } = this.#deps;
    const cells: StreamCell[] = [];
    await this.#directory.forEach((cell) => {
      if (cell.segments.length > 0) cells.push(cell);
    });
    await gather<undefined>(clock, timeoutMs, cells.length, async (reply) => {
      await forEachInSlices(clock, TELL_SLICE_MS, cells, (cell) =>
        tell(cell, { type: 'flush', reason: 'asked', reply }),
      );
    });
  }

  /** That and what lies in the log. */
  async #flushAll(): Promise<void> {
    const { flushTimeoutMs } = this.#options;
    await this.flush(flushTimeoutMs);
    const logged = this.#loggedFlusher;
    if (!logged) return;
    await gather<undefined>(this.#deps.clock, flushTimeoutMs, 1, async (reply) => {
      await logged.flushAll();
      reply(undefined);
    });
  }

  /**
   * Takes no more pushes, waits for those in flight, stores everything of this process unless the log keeps it, stops the actors.
   * @throws RefusedError DEADLINE_EXCEEDED if not all could be stored in time; the actors are stopped then too
   */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    try {
      await this.#distributor.stop();
      if (this.#options.flushesAtStop) await this.flush(deadlineMs);
    } finally {
      this.#commitTidier.stop();
      this.#sweeper.stop();
      this.#loggedFlusher?.stop();
      this.#cutter.stop();
      this.#jobs.stop();
      this.#blocks?.stop();
      this.#segmentLog?.stop();
      stop(this.#system);
    }
  }

  #streamSpawner(): ReturnType<typeof streamSpawner> {
    return streamSpawner({
      ...this.#surroundings(),
      cut: (cell, held, cut) => this.#cutter.cut(cell, held, cut),
      cutAgain: (cell, held, cut) => this.#cutter.cutAgain(cell, held, cut),
      flush: (cell, held) => this.#flusher.flush(this.#jobs.ofHeld(cell, held)),
      flushLogged: ({ logged }) => logged && void this.#loggedFlusher?.flushFull(logged),
      log: (cell, held, range) => this.#segmentLog?.append(cell, held, range),
      ended: ({ log, segment }) => log && this.#segmentLog?.ended(log, segment.id),
      released: this.#released,
      leftToLog: (log) => this.#deps.logged?.add(log),
      appended: showToTails,
      changed: (cell) => {
        this.#heads.update(cell);
        this.#guard.update(cell);
      },
      passivated: (cell) => this.#directory.close(cell),
      crashed: (cell, error) => {
        this.#crashes += 1;
        this.#deps.report(`the stream ${cell.labels.canonical} failed`, error);
      },
    });
  }

  /** A stream's actor knows what the log has of it, whichever was there first. */
  #linkLogged(): void {
    const { logged } = this.#deps;
    if (!logged) return;
    logged.onStream = (stream) => {
      const cell = this.#directory.find(stream.tenant, stream.labels);
      if (cell) cell.logged = stream;
    };
  }

  readonly #released = ({ log, from, epoch }: MovedSegment): void => {
    if ('part' in from) this.#deps.logged?.remove(from.part);
    this.#segmentLog?.released(log, epoch);
  };

  readonly #cut = async (task: CutTask): Promise<BlockData> => {
    const block = await this.#deps.cut(task);
    this.#compression.add(task.head.lineBytes, block.bytes.length);
    return block;
  };

  #surroundings(): StreamSurroundings {
    const { nodeId, incarnation, blockSize, targetSize, schema } = this.#options;
    let counter = 0;
    return {
      segmentLimits: { blockSize, targetSize, memory: this.#deps.memory },
      nextSegmentId: () => {
        counter += 1;
        return { nodeId, incarnation, counter };
      },
      periodAt: (timeNs) => periodAt(schema, Number(timeNs / 1_000_000n)),
      compressionGuess: () => this.#compression.ratio,
    };
  }

  #newFlusher(): Flusher {
    const { clock, chance, encode, chunks, index, report } = this.#deps;
    const options = this.#options;
    return new Flusher({
      system: this.#system,
      clock,
      chance,
      encode,
      chunks,
      index,
      schema: options.schema,
      encoding: options.encoding,
      level: options.level,
      blockSize: options.blockSize,
      concurrencyMax: options.flushConcurrencyMax,
      backOff: options.flushBackOff,
      timeoutMs: options.flushTimeoutMs,
      ended: (log, id) => this.#segmentLog?.ended(log, id),
      report,
    });
  }

  #newLoggedFlusher(): LoggedFlusher | undefined {
    const { logged, clock, report } = this.#deps;
    if (!logged) return undefined;
    const { blockSize, targetSize } = this.#options;
    return new LoggedFlusher({
      logged,
      jobs: this.#jobs,
      flusher: this.#flusher,
      clock,
      rules: () => this.#pressure.rules,
      sizes: { blockSize, targetSize },
      compressionGuess: () => this.#compression.ratio,
      cellOf: ({ tenant, labels }) => this.#directory.find(tenant, labels),
      report,
    });
  }

  #newServices(): NodeServices {
    return {
      push: (tenant, push) => this.#distributor.push(tenant, push),
      ...this.#queries.services,
      flush: () => this.#flushAll(),
      notReady: () => (this.#isStopping ? 'Application is stopping' : this.#deps.log?.refusal?.text),
    };
  }

  #newMoves(): StreamMoves | undefined {
    const { logged, log, clock } = this.#deps;
    const directory = this.#directory;
    return logged && log && new StreamMoves({ directory, logged, log, clock, tell, released: this.#released });
  }

  #newLoggedBlocks(): LoggedBlocks | undefined {
    const { logged, report } = this.#deps;
    const { blockSize, encoding, level } = this.#options;
    return logged && new LoggedBlocks({ logged, cut: this.#cut, blockSize, encoding, level, report });
  }
}
