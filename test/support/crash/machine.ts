import { expect } from 'chai';
import type { PushOutcome } from '../../../src/actors/node-services.ts';
import type { ConfigInput } from '../../../src/config.ts';
import { pushStatusOf, retryAfterSecondsOf } from '../../../src/http/refusal-status.ts';
import type { LogFiles } from '../../../src/log/log-files.ts';
import type { RinglogNode } from '../../../src/node.ts';
import { startTestNode, type TestNode } from '../cluster.ts';
import { eventually } from '../eventually.ts';
import { PowerLossFiles } from '../log/power-loss-files.ts';
import { UID } from '../log/test-log.ts';
import { MemoryChunkStore } from '../stores/memory-chunk-store.ts';
import { MemoryIndexStore } from '../stores/memory-index-store.ts';
import { checkAnswers, type Pushed } from './answers.ts';
import { type OnStep, watchedChunks, watchedIndex, watchedLogFiles } from './crash-points.ts';
import { SkippingClock } from './skipping-clock.ts';
import { linesOfPush, pushNumbered } from './workload.ts';

/** How long a log takes its disk for what it was. */
export const LOOK_PERIOD_MS = 1000;

const INGESTER = {
  chunk_block_size: 8 << 10,
  chunk_target_size: 32 << 10,
  wal: { file_size: '1MB', batch_size: '512KB' },
};

/** A disk that may fail and lose power, stores that last, and one node after the other on them. */
export class Machine implements Pushed {
  readonly disk = new PowerLossFiles();
  readonly chunks = new MemoryChunkStore();
  readonly index = new MemoryIndexStore();
  readonly clock = new SkippingClock();
  readonly acknowledged = new Set<string>();
  readonly sent = new Set<string>();
  #incarnation = 0;
  running: TestNode | undefined;

  get node(): RinglogNode {
    if (!this.running) throw new Error('no node runs');
    return this.running.node;
  }

  async start({
    files = this.disk.process(),
    ingester = {},
  }: {
    files?: LogFiles;
    ingester?: ConfigInput;
  } = {}): Promise<RinglogNode> {
    const { chunks, index, clock } = this;
    const logDisk = { files, identity: this.#nextIdentity() };
    this.running = await startTestNode({ ingester: { ...INGESTER, ...ingester } }, { chunks, index, clock, logDisk });
    return this.node;
  }

  /** Every step of it is told first. */
  async startWatched(onStep: OnStep): Promise<RinglogNode> {
    const { chunks, index, clock } = this;
    const logDisk = { files: watchedLogFiles(this.disk.process(), onStep), identity: this.#nextIdentity() };
    const watched = { chunks: watchedChunks(chunks, onStep), index: watchedIndex(index, onStep) };
    this.running = await startTestNode({ ingester: INGESTER }, { ...watched, clock, logDisk } as object);
    return this.node;
  }

  async push(number: number): Promise<PushOutcome> {
    for (const line of linesOfPush(number)) this.sent.add(line);
    const outcome = await this.node.services.push('tenant', pushNumbered(number));
    if (!outcome.refusal) for (const line of linesOfPush(number)) this.acknowledged.add(line);
    return outcome;
  }

  /** A client that tries until it is told yes. @returns how often it was refused */
  async pushUntilTaken(number: number): Promise<number> {
    let refusals = 0;
    const isTaken = async (): Promise<boolean> => {
      const { refusal } = await this.push(number);
      if (!refusal) return true;
      expectRetryLater(refusal);
      refusals += 1;
      this.clock.skip(LOOK_PERIOD_MS);
      return false;
    };
    await eventually(`push ${number} is taken`, isTaken, () => this.node.figures());
    return refusals;
  }

  check(when: string): Promise<number> {
    return checkAnswers(this.node, when, this);
  }

  /** A kill and a restart, then everything is stored. All answers must be right all the while. */
  async finish(): Promise<void> {
    await this.check('before the restart');
    this.disk.kill();
    await this.stop();
    await this.start();
    await this.check('after the restart');
    await this.node.services.flush();
    await this.check('after the flush');
    await eventually('the log is told', () => this.node.figures().log?.liveBytes === 0, this.node.figures);
    const hasNoCommit = async (): Promise<boolean> => (await this.commits()).length === 0;
    await eventually('commits are forgotten', hasNoCommit, this.node.figures);
  }

  async commits(): Promise<readonly string[]> {
    const commits: string[] = [];
    for await (const { segment } of this.index.commits()) commits.push(segment);
    return commits.sort();
  }

  async stop(): Promise<void> {
    await this.running?.node.stop({ deadlineMs: 1000 }).catch(() => undefined);
    this.running = undefined;
  }

  #nextIdentity() {
    this.#incarnation += 1;
    return { uid: UID, incarnation: this.#incarnation };
  }
}

/** 503 with Retry-After, over HTTP. */
export const expectRetryLater = (refusal: PushOutcome['refusal']): void => {
  expect(refusal && pushStatusOf(refusal), refusal?.text).to.equal(503);
  expect(refusal && retryAfterSecondsOf(refusal)).to.be.within(1, 60);
};
