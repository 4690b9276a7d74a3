import { SingleBar } from 'cli-progress';
import type { BatchOutcome, PushTotals } from '../http/push-client.ts';
import type { Terminal } from './terminal.ts';

const MEGABYTE = 1_000_000;
const PLAIN_INTERVAL_MS = 10_000;

const megabytes = (bytes: number): string => `${(bytes / MEGABYTE).toFixed(1)} MB`;

/** A bar with the rate on a terminal; else a plain line now and then, and each new reason of a refusal once. */
export class PushProgress {
  readonly #terminal: Terminal;
  readonly #totalBytes: number | undefined;
  readonly #startedMs = Date.now();
  readonly #reasons = new Set<string>();
  #bar: SingleBar | undefined;
  #timer: NodeJS.Timeout | undefined;
  #bytesRead = 0;
  #linesRead = 0;
  #linesSettled = 0;
  firstRefusal = '';

  /** `totalBytes` undefined: unknown, as from a pipe. */
  constructor(terminal: Terminal, totalBytes: number | undefined) {
    this.#terminal = terminal;
    this.#totalBytes = totalBytes;
  }

  start(): void {
    if (this.#terminal.isInteractive && this.#totalBytes !== undefined) {
      this.#bar = new SingleBar({
        format: '{bar} {percentage}% | {lines} lines | {rate} MB/s | {eta_formatted} left',
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      });
      this.#bar.start(this.#totalBytes, 0, { lines: 0, rate: '0.0' });
      this.#timer = setInterval(() => this.#draw(), 100);
    } else {
      this.#timer = setInterval(() => this.#terminal.note(this.#state()), PLAIN_INTERVAL_MS);
    }
    this.#timer.unref();
  }

  read(bytes: number): void {
    this.#bytesRead += bytes;
    this.#linesRead += 1;
  }

  settled({ lines, refusal }: BatchOutcome): void {
    this.#linesSettled += lines;
    if (!refusal) return;
    const text = refusal.text.trim().split('\n')[0] ?? '';
    this.firstRefusal ||= text;
    if (this.#reasons.size >= 10 || this.#reasons.has(text)) return;
    this.#reasons.add(text);
    if (!this.#bar) this.#terminal.note(`refused (${refusal.status || 'no answer'}): ${text}`);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#bar?.stop();
  }

  summary({ acceptedLines, acceptedBytes, refusedLines }: PushTotals): string {
    const seconds = Math.max(this.#seconds(), 0.001);
    const rate = `${(acceptedBytes / MEGABYTE / seconds).toFixed(1)} MB/s`;
    const taken = `${acceptedLines} lines (${megabytes(acceptedBytes)}) in ${seconds.toFixed(1)} s (${rate})`;
    if (refusedLines === 0) return `accepted ${taken}, refused 0`;
    return `accepted at least ${taken}, refused wholly or in part batches of ${refusedLines} lines`;
  }

  #seconds(): number {
    return (Date.now() - this.#startedMs) / 1000;
  }

  #state(): string {
    return `read ${this.#linesRead} lines (${megabytes(this.#bytesRead)}), settled ${this.#linesSettled}`;
  }

  #draw(): void {
    const rate = (this.#bytesRead / MEGABYTE / Math.max(this.#seconds(), 0.001)).toFixed(1);
    this.#bar?.update(Math.min(this.#bytesRead, this.#totalBytes ?? 0), { lines: this.#linesRead, rate });
  }
}
