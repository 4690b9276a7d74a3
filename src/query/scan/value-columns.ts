import { RefusedError } from '../../protocol/refusal.ts';
import { releaseMemory } from '../../protocol/release-memory.ts';
import type { PartialValues } from './scan-messages.ts';

/** Values kept by one task before the query is refused: 20 bytes each. */
const VALUES_MAX = 16 << 20;

/** Unwrapped values as growing columns. */
export class ValueColumns {
  #series = new Uint32Array(1024);
  #times = new Float64Array(1024);
  #values = new Float64Array(1024);
  #count = 0;
  readonly #streams: bigint[] = [];
  readonly #streamStarts: number[] = [];

  /** Those that follow are of this stream. */
  startStream(fingerprint: bigint): void {
    if (this.#streamStarts.at(-1) === this.#count) this.#streams.pop();
    else this.#streamStarts.push(this.#count);
    this.#streams.push(fingerprint);
  }

  push(series: number, time: number, value: number): void {
    if (this.#count === this.#times.length) this.#grow();
    this.#series[this.#count] = series;
    this.#times[this.#count] = time;
    this.#values[this.#count] = value;
    this.#count += 1;
  }

  /** Call it last. */
  take(keys: string): PartialValues {
    const taken = {
      keys,
      series: this.#series.slice(0, this.#count),
      times: this.#times.slice(0, this.#count),
      values: this.#values.slice(0, this.#count),
      streams: BigUint64Array.from(this.#streams),
      streamStarts: Uint32Array.from(this.#streamStarts),
    };
    this.#release();
    return taken;
  }

  #grow(): void {
    if (this.#count >= VALUES_MAX) {
      const text = 'the query collects too many values; consider a shorter time range or a more specific selector';
      throw new RefusedError({ code: 'INVALID_QUERY', text });
    }
    const capacity = 2 * this.#count;
    const series = new Uint32Array(capacity);
    series.set(this.#series);
    const times = new Float64Array(capacity);
    times.set(this.#times);
    const values = new Float64Array(capacity);
    values.set(this.#values);
    this.#release();
    this.#series = series;
    this.#times = times;
    this.#values = values;
  }

  #release(): void {
    for (const column of [this.#series, this.#times, this.#values]) releaseMemory(column);
  }
}
