/** Pushes entries of its own streams, each batch again and again until it is acknowledged: the same bytes each time. */
import snappy from 'snappy';
import { request } from 'undici';
import { encodePushRequest } from '../../src/protocol/logproto.ts';
import type { Finding, Oracle } from './oracle.ts';
import type { ServedNode } from './served-node.ts';
import type { SoakEntries, SoakStream } from './soak-entries.ts';

export interface PusherDeps {
  readonly entries: SoakEntries;
  readonly oracle: Oracle;
  readonly streams: readonly SoakStream[];
  /** In [0, 1). */
  readonly random: () => number;
  /** undefined while nobody listens. */
  readonly node: () => ServedNode | undefined;
  readonly found: (finding: Finding) => void;
  /** No new batch: what is under way is still pushed until it is acknowledged. */
  readonly isOver: () => boolean;
  /** One attempt may take so long. */
  readonly attemptMs?: number;
  /** All attempts of a batch: longer is wrong. */
  readonly budgetMs?: number;
}

interface Batch {
  readonly tenant: string;
  readonly body: Buffer;
  readonly contentType: string;
  readonly entries: readonly { readonly stream: SoakStream; readonly number: number }[];
}

interface PendingEntry {
  readonly timeNs: bigint;
  readonly number: number;
  readonly line: string;
  readonly metadata: readonly string[];
}

export interface PusherFigures {
  batches: number;
  attempts: number;
  /** By status; 0 if there was no answer. */
  readonly refused: Map<number, number>;
  /** The same with the beginnings of the texts. */
  readonly reasons: Map<string, number>;
  duplicates: number;
  slowestMs: number;
  hungUp: number;
}

const STREAMS_A_PUSH = 4;
const ENTRIES_A_STREAM = 40;
/** Of a pusher's streams only some have entries for a while, so that others become idle. */
const SPELL_MS = 8_000;
const SPELL_STREAMS = 4;
const LATE_SHARE = 0.1;
const SAME_TIME_SHARE = 0.1;
/** Below half of `max_chunk_age`, the out-of-order window. */
const LATEST_MS = 8_000;
const JSON_SHARE = 0.4;
const AGAIN_SHARE = 0.05;
const OLD_AGAIN_SHARE = 0.03;
const OLD_KEPT = 20;
const HANG_UP_SHARE = 0.02;
const HANG_UP_MS = 10;
const ATTEMPT_MS = 20_000;
const PAUSE_MS = 60;
const WHY_LENGTH = 120;
const RETRY_MS = 200;
const NS_PER_MS = 1_000_000n;

export class Pusher {
  readonly figures: PusherFigures = {
    batches: 0,
    attempts: 0,
    refused: new Map(),
    reasons: new Map(),
    duplicates: 0,
    slowestMs: 0,
    hungUp: 0,
  };
  readonly #deps: PusherDeps;
  readonly #newestNs = new Map<SoakStream, bigint>();
  readonly #old: Batch[] = [];

  constructor(deps: PusherDeps) {
    this.#deps = deps;
  }

  async run(): Promise<void> {
    const { random, isOver } = this.#deps;
    while (!isOver()) {
      const batch = this.#batch();
      await this.#deliver(batch);
      if (random() < AGAIN_SHARE) await this.#again(batch);
      const old = this.#old[this.#below(this.#old.length)];
      if (old && random() < OLD_AGAIN_SHARE) await this.#again(old);
      this.#old.push(batch);
      if (this.#old.length > OLD_KEPT) this.#old.shift();
      await pause(random() * PAUSE_MS);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#deps.random() * limit);
  }

  #batch(): Batch {
    const { streams: all, random } = this.#deps;
    const first = Math.floor(performance.now() / SPELL_MS) * SPELL_STREAMS;
    const streams = Array.from(
      { length: SPELL_STREAMS },
      (_, index) => all[(first + index) % all.length] as SoakStream,
    );
    const chosen = new Set<SoakStream>();
    for (let count = 1 + this.#below(STREAMS_A_PUSH); count > 0; count -= 1) {
      chosen.add(streams[this.#below(streams.length)] as SoakStream);
    }
    const parts = [...chosen].map((stream) => ({ stream, entries: this.#entriesOf(stream) }));
    const isJson = random() < JSON_SHARE;
    return {
      tenant: streams[0]?.tenant ?? '',
      contentType: isJson ? 'application/json' : 'application/x-protobuf',
      body: isJson ? jsonBody(parts) : protobufBody(parts),
      entries: parts.flatMap(({ stream, entries }) => entries.map(({ number }) => ({ stream, number }))),
    };
  }

  #entriesOf(stream: SoakStream): readonly PendingEntry[] {
    const { entries, oracle } = this.#deps;
    return Array.from({ length: 1 + this.#below(ENTRIES_A_STREAM) }, () => {
      const timeNs = this.#nextTime(stream);
      const number = oracle.sent(stream, timeNs);
      const { index } = stream;
      return { timeNs, number, line: entries.line(index, number), metadata: entries.metadata(index, number) };
    });
  }

  /** Now, or a little late, or the same as before. */
  #nextTime(stream: SoakStream): bigint {
    const { random } = this.#deps;
    const newestNs = this.#newestNs.get(stream);
    const nowNs = BigInt(Date.now()) * NS_PER_MS + BigInt(this.#below(1e6));
    // A repeated push must still be within the window of what it brought the first time.
    const isRecent = newestNs !== undefined && newestNs > nowNs - BigInt(LATEST_MS) * NS_PER_MS;
    if (isRecent && random() < SAME_TIME_SHARE) return newestNs;
    if (newestNs !== undefined && random() < LATE_SHARE) return nowNs - BigInt(this.#below(LATEST_MS)) * NS_PER_MS;
    const timeNs = newestNs === undefined || nowNs > newestNs ? nowNs : newestNs + 1n;
    this.#newestNs.set(stream, timeNs);
    return timeNs;
  }

  async #deliver(batch: Batch): Promise<void> {
    const { oracle, random, found, budgetMs = Number.POSITIVE_INFINITY } = this.#deps;
    const startedMs = performance.now();
    this.figures.batches += 1;
    for (;;) {
      const answer = await this.#attempt(batch, random() < HANG_UP_SHARE);
      if (answer.status === 204) break;
      const why = `${answer.status} ${answer.text.slice(0, WHY_LENGTH)}`;
      this.figures.reasons.set(why, (this.figures.reasons.get(why) ?? 0) + 1);
      this.figures.refused.set(answer.status, (this.figures.refused.get(answer.status) ?? 0) + 1);
      if (answer.status === 400 || answer.status === 500) {
        found({
          kind: 'refused',
          text: `${answer.status} ${answer.text.slice(0, 300)}`,
          entries: batch.entries.length,
        });
        if (answer.status === 400) return;
      }
      await pause(random() * RETRY_MS);
    }
    const nowMs = performance.now();
    this.figures.slowestMs = Math.max(this.figures.slowestMs, nowMs - startedMs);
    if (nowMs - startedMs > budgetMs) {
      const text = `acknowledged only after ${Math.round(nowMs - startedMs)} ms`;
      found({ kind: 'refused', text, entries: batch.entries.length });
    }
    for (const { stream, number } of batch.entries) oracle.acknowledged(stream, number, nowMs);
  }

  /** What was acknowledged before: it may be too far behind by now, which is all the same. */
  async #again(batch: Batch): Promise<void> {
    this.figures.duplicates += 1;
    await this.#attempt(batch, false);
  }

  async #attempt(
    { tenant, body, contentType }: Batch,
    hangsUp: boolean,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const node = this.#deps.node();
    if (!node?.url) return { status: 0, text: 'nobody listens' };
    this.figures.attempts += 1;
    if (hangsUp) this.figures.hungUp += 1;
    try {
      const answer = await request(`${node.url}/loki/api/v1/push`, {
        dispatcher: node.agent,
        method: 'POST',
        headers: { 'content-type': contentType, 'x-scope-orgid': tenant },
        body,
        signal: AbortSignal.timeout(hangsUp ? this.#below(HANG_UP_MS) : (this.#deps.attemptMs ?? ATTEMPT_MS)),
      });
      return { status: answer.statusCode, text: await answer.body.text() };
    } catch (error) {
      return { status: 0, text: (error as Error).message };
    }
  }
}

type Parts = readonly { readonly stream: SoakStream; readonly entries: readonly PendingEntry[] }[];

const protobufBody = (parts: Parts): Buffer => {
  const streams = parts.map(({ stream, entries }) => ({ labels: stream.labelText, entries }));
  return snappy.compressSync(encodePushRequest({ streams })) as Buffer;
};

const jsonBody = (parts: Parts): Buffer => {
  const streams = parts.map(({ stream, entries }) => ({
    stream: stream.labels,
    values: entries.map(({ timeNs, line, metadata: [name, value] }) =>
      name === undefined ? [`${timeNs}`, line] : [`${timeNs}`, line, { [name]: value }],
    ),
  }));
  return Buffer.from(JSON.stringify({ streams }));
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
