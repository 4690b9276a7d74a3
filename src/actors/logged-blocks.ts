import type { BlockEncoding } from '../chunk/block-encoding.ts';
import { type BlockData, segmentName } from '../chunk/memory-format.ts';
import type { Segment } from '../chunk/segment.ts';
import type { Gap } from '../log/log-reader.ts';
import type { LogSegment } from '../log/segment-table.ts';
import type { CutTask } from '../workers/cut-worker.ts';
import type { LoggedSegments } from './logged-segments.ts';

export interface LoggedBlocksDeps {
  readonly logged: LoggedSegments;
  /** In a worker thread. */
  readonly cut: (task: CutTask) => Promise<BlockData>;
  readonly blockSize: number;
  readonly encoding: BlockEncoding;
  readonly level: number;
  readonly report: (problem: string, error: unknown) => void;
}

/** Segments being brought back at a time, some 15 MB each: pushes have the memory otherwise. */
const CONCURRENCY = 4;

/** Chosen: what a node gets looks alike, and this much is cut in some tens of ms. */
const SAMPLES = 8;

/** Brings segments that lie in the log only back as blocks, for the flusher. */
export class LoggedBlocks {
  readonly #deps: LoggedBlocksDeps;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #isStopped = false;

  constructor(deps: LoggedBlocksDeps) {
    this.#deps = deps;
  }

  /**
   * Everything of the segments in blocks, with metadata numbered on from `symbols`. What is lost to damage of the log is reported.
   * @throws RefusedError
   */
  async load(segments: readonly LogSegment[], version: 3 | 4, symbols: readonly string[] = []): Promise<Segment> {
    await this.#turn();
    try {
      const { logged, blockSize } = this.#deps;
      const onGap = (segment: LogSegment, gap: Gap): void => this.#reportGap(segment, gap);
      const loaded = await logged.load(segments, { blockSize, symbols, onGap });
      await this.#cutAll(loaded, version);
      return loaded;
    } finally {
      this.#leave();
    }
  }

  /** Nobody waits for samples any more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Cuts a first block of some of them: how they compress is known then, before anybody has to judge their size. */
  async sample(): Promise<void> {
    const { logged, blockSize, report } = this.#deps;
    const largest = [...logged.all()]
      .flatMap(({ parts }) => parts)
      .sort((left, right) => right.plainBytes - left.plainBytes)
      .slice(0, SAMPLES);
    for (const { segment, version } of largest) {
      try {
        const loaded = await logged.load([segment], { blockSize, bytesMax: blockSize, onGap: () => undefined });
        await this.#cutAll(loaded, version);
      } catch (error) {
        if (this.#isStopped) return;
        report('a segment of the log could not be looked at', error);
      }
    }
  }

  async #cutAll(segment: Segment, version: 3 | 4): Promise<void> {
    const { encoding, level, cut: run } = this.#deps;
    const withMetadataSections = version === 4;
    try {
      for (let cut = segment.cutHead(); cut; cut = segment.cutHead()) {
        segment.headCut(cut.number, await run({ kind: 'cut', head: cut.head, encoding, level, withMetadataSections }));
      }
    } finally {
      segment.discard();
    }
  }

  #reportGap({ id }: LogSegment, { first, end, file }: Gap): void {
    const where = file ? ` in ${file}` : '';
    this.#deps.report(
      `${end - first} entries of segment ${segmentName(id)} are lost to damage of the log${where}`,
      undefined,
    );
  }

  async #turn(): Promise<void> {
    if (this.#running === CONCURRENCY) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#running -= 1;
  }
}
