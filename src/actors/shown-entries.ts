import { crc32c } from '../chunk/checksum.ts';
import { canonicalText } from '../protocol/label-text.ts';
import type { LogStream } from '../query/query-messages.ts';

/** Chosen: a minute of a busy tail; about 60 bytes each. */
const SHOWN_MAX = 50_000;
/** The same while what was missed is looked up, which may take as long as a query and bring all of it again. Chosen: 24 MB. */
const HELD_MAX = 400_000;

/** The entries that a tail showed lately: one that comes again, looked up after a gap, is not shown again. */
export class ShownEntries {
  #young = new Set<string>();
  #old = new Set<string>();

  /** Those of them, an entry each, that were not shown yet; they count as shown from now on. @param isHeld a look-up may bring what was shown */
  fresh(streams: readonly LogStream[], isHeld = false): readonly LogStream[] {
    const youngMax = (isHeld ? HELD_MAX : SHOWN_MAX) / 2;
    return streams.filter((stream) => {
      const key = keyOf(stream);
      if (this.#young.has(key) || this.#old.has(key)) return false;
      if (this.#young.size >= youngMax) {
        this.#old = this.#young;
        this.#young = new Set();
      }
      this.#young.add(key);
      return true;
    });
  }
}

/** The time, and a checksum of stream and line: entries of one nanosecond are few. */
const keyOf = ({ labels, entries: [entry] }: LogStream): string =>
  `${entry?.timeNs}:${crc32c(Buffer.from(`${canonicalText(labels)}\0${entry?.line}`))}`;
