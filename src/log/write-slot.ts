/**
 * One write on its way from the event loop to the log's thread, in shared memory. A message costs both sides about 70 µs of CPU (serialized, received on an
 * event loop of its own, answered the same way), which is a fifth of a small push; numbers and a futex cost a third of that.
 *
 *   event loop: fields, STATE = posted, BELL + 1, notify ──► thread: waits for BELL, STATE = taken, writes, OUTCOME, DONE + 1, notify ──► event loop: waitAsync, STATE = free
 */

/** Places in the words; the offset is a float64, for a file may be larger than 2³¹. */
const BELL = 0;
const STATE = 1;
const DONE = 2;
const OUTCOME = 3;
const MEMORY = 4;
const HANDLE = 5;
const START = 6;
const LENGTH = 7;
const IS_SYNCED = 8;
const OFFSET_BYTE = 40;
const SIZE = 48;

const FREE = 0;
const POSTED = 1;
const TAKEN = 2;

/** Names the write in the slot where others have numbers, from 1 on. */
export const SLOT_ID = 0;

export interface SlotWrite {
  /** Which of the shared memories that the thread knows of. */
  readonly memory: number;
  /** Of the bytes in it. */
  readonly start: number;
  readonly length: number;
  readonly handle: number;
  /** In the file. */
  readonly offset: number;
  readonly isSynced: boolean;
}

export class WriteSlot {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #offset: Float64Array;

  constructor(memory = new SharedArrayBuffer(SIZE)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, OFFSET_BYTE / 4);
    this.#offset = new Float64Array(memory, OFFSET_BYTE, 1);
  }

  /** For the event loop: no write is on its way. */
  get isFree(): boolean {
    return Atomics.load(this.#words, STATE) === FREE;
  }

  /** For the event loop, when it is free. @returns once it is done: whether it succeeded */
  async post({ memory, start, length, handle, offset, isSynced }: SlotWrite): Promise<boolean> {
    const words = this.#words;
    const done = Atomics.load(words, DONE);
    words[MEMORY] = memory;
    words[START] = start;
    words[LENGTH] = length;
    words[HANDLE] = handle;
    words[IS_SYNCED] = isSynced ? 1 : 0;
    this.#offset[0] = offset;
    Atomics.store(words, STATE, POSTED);
    const { value } = Atomics.waitAsync(words, DONE, done);
    this.ring();
    await value;
    const isWritten = Atomics.load(words, OUTCOME) === 1;
    Atomics.store(words, STATE, FREE);
    return isWritten;
  }

  /** For the event loop: wakes the thread, or keeps it from falling asleep. */
  ring(): void {
    Atomics.add(this.#words, BELL, 1);
    Atomics.notify(this.#words, BELL);
  }

  /** For the thread: how often it was rung. */
  get rings(): number {
    return Atomics.load(this.#words, BELL);
  }

  /** For the thread: sleeps until it is rung more often than that. */
  wait(rings: number): void {
    Atomics.wait(this.#words, BELL, rings);
  }

  /** For the thread: what to write, if anything. `finish` it. */
  take(): SlotWrite | undefined {
    const words = this.#words;
    if (Atomics.compareExchange(words, STATE, POSTED, TAKEN) !== POSTED) return undefined;
    const at = (place: number): number => words[place] as number;
    return {
      memory: at(MEMORY),
      start: at(START),
      length: at(LENGTH),
      handle: at(HANDLE),
      offset: this.#offset[0] as number,
      isSynced: at(IS_SYNCED) === 1,
    };
  }

  finish(isWritten: boolean): void {
    const words = this.#words;
    Atomics.store(words, OUTCOME, isWritten ? 1 : 0);
    Atomics.add(words, DONE, 1);
    Atomics.notify(words, DONE);
  }
}
