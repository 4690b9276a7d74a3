import { SingleBar } from 'cli-progress';
import type { Terminal } from './terminal.ts';

const MEGABYTE = 1_000_000;
const DRAW_INTERVAL_MS = 200;
const PLAIN_INTERVAL_MS = 10_000;

export interface CopyState {
  readonly done: number;
  /** As far as they were counted. */
  readonly chunks: number;
  readonly isCounted: boolean;
  readonly bytes: number;
}

export const megabytes = (bytes: number): string => `${(bytes / MEGABYTE).toFixed(1)} MB`;

/** A bar on a terminal; else a plain line now and then. */
export class CopyProgress {
  readonly #terminal: Terminal;
  readonly #state: () => CopyState;
  readonly #startedMs = Date.now();
  #bar: SingleBar | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(terminal: Terminal, state: () => CopyState) {
    this.#terminal = terminal;
    this.#state = state;
  }

  get seconds(): number {
    return Math.max((Date.now() - this.#startedMs) / 1000, 0.001);
  }

  start(): void {
    if (this.#terminal.isInteractive) {
      this.#bar = new SingleBar({
        format: '{bar} {done} of {counted} chunks | {bytes} | {rate}/s | {eta_formatted} left',
        clearOnComplete: true,
        hideCursor: true,
        // Ours: Ctrl-C ends the copy in order.
        gracefulExit: false,
        stream: process.stderr,
      });
      this.#bar.start(1, 0, this.#payload());
      this.#timer = setInterval(() => this.#draw(), DRAW_INTERVAL_MS);
    } else {
      this.#timer = setInterval(() => this.#terminal.note(this.#line()), PLAIN_INTERVAL_MS);
    }
    this.#timer.unref();
  }

  /** A line about the work: the bar makes room for it. */
  note(text: string): void {
    if (this.#bar) process.stderr.write('\r\u001b[K');
    this.#terminal.note(text);
    this.#draw();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#draw();
    this.#bar?.stop();
  }

  #payload() {
    const { done, chunks, isCounted, bytes } = this.#state();
    const counted = isCounted ? `${chunks}` : `${chunks}+`;
    return { done, counted, bytes: megabytes(bytes), rate: megabytes(bytes / this.seconds) };
  }

  #line(): string {
    const { done, counted, bytes, rate } = this.#payload();
    return `${done} of ${counted} chunks, ${bytes} (${rate}/s)`;
  }

  #draw(): void {
    const { done, chunks } = this.#state();
    this.#bar?.setTotal(Math.max(1, chunks, done));
    this.#bar?.update(done, this.#payload());
  }
}
