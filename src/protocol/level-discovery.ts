/** `discover_log_levels`: the pair `detected_level` that entries get when they are pushed. */
import { LevelFields } from './level-fields.ts';
import { DETECTED_LEVEL, LEVEL_PAIRS, levelNamed, levelOfSeverity, NO_LEVEL, storedLevel } from './levels.ts';
import type { Limits } from './limits.ts';
import { levelOfLine } from './line-level.ts';

/** Of a longer line only so much is looked at: nothing holds up the others. Chosen: four times what a line may be by default. */
const LINE_BYTES_MAX = 1 << 20;

const knownFields = new WeakMap<readonly string[], LevelFields>();

const fieldsOf = (names: readonly string[]): LevelFields => {
  const known = knownFields.get(names);
  if (known) return known;
  const fields = new LevelFields(names);
  knownFields.set(names, fields);
  return fields;
};

/** Levels that labels name, for each of which there is one LevelDiscovery. They are not checked, so there may be any number. */
const SHARED_MAX = 64;
const NO_TEXT = '';

const sharedOf = new WeakMap<Limits, Map<string, LevelDiscovery>>();

/** For the entries of one stream, or of all whose labels name the same level. */
export class LevelDiscovery {
  readonly #fields: LevelFields;
  readonly #depthMax: number;
  /** That a label of the stream names: as the pair, and as a number if it is one of the known levels. */
  readonly #streamPair: readonly string[] | undefined;
  readonly #streamLevel: number;

  /** @param labels flat pairs of the stream */
  constructor(labels: readonly string[], { logLevelFields, logLevelFromJsonMaxDepth }: Limits) {
    this.#fields = fieldsOf(logLevelFields);
    this.#depthMax = logLevelFromJsonMaxDepth;
    const text = this.#fields.valueIn(labels);
    this.#streamPair = text === undefined ? undefined : [DETECTED_LEVEL, storedLevel(text)];
    this.#streamLevel = text === undefined ? NO_LEVEL : levelNamed(text);
  }

  /** For a stream of these labels: that of another one whose labels name the same level, or none. */
  static of(labels: readonly string[], limits: Limits): LevelDiscovery {
    const shared = sharedOf.get(limits) ?? new Map<string, LevelDiscovery>();
    sharedOf.set(limits, shared);
    const text = fieldsOf(limits.logLevelFields).valueIn(labels) ?? NO_TEXT;
    const known = shared.get(text);
    if (known) return known;
    const levels = new LevelDiscovery(labels, limits);
    if (shared.size < SHARED_MAX) shared.set(text, levels);
    return levels;
  }

  /** Of every entry without metadata, if it is none of the known levels. */
  get oddPair(): readonly string[] | undefined {
    return this.#streamLevel === NO_LEVEL ? this.#streamPair : undefined;
  }

  /** Of an entry without metadata whose line is bytes [start, end). */
  levelOf(bytes: Uint8Array, start: number, end: number): number {
    if (this.#streamLevel !== NO_LEVEL) return this.#streamLevel;
    return levelOfLine(bytes, start, Math.min(end, start + LINE_BYTES_MAX), this.#fields, this.#depthMax);
  }

  /**
   * Pairs as they are stored, with the level among them. A level that came with the entry is only brought into its usual form.
   * @param sent pairs as they were sent
   * @param stored the same in the form in which they are stored, sorted by name
   */
  withLevel(
    sent: readonly string[],
    stored: readonly string[],
    bytes: Uint8Array,
    start: number,
    end: number,
  ): readonly string[] {
    let at = 0;
    while (at < stored.length && stored[at]! < DETECTED_LEVEL) at += 2;
    if (stored[at] === DETECTED_LEVEL) {
      const value = stored[at + 1]!;
      return storedLevel(value) === value ? stored : stored.with(at + 1, storedLevel(value));
    }
    const pair = this.#streamPair ?? this.#pairOf(sent, bytes, start, end);
    return [...stored.slice(0, at), ...pair, ...stored.slice(at)];
  }

  #pairOf(sent: readonly string[], bytes: Uint8Array, start: number, end: number): readonly string[] {
    const value = this.#fields.valueIn(sent);
    if (value !== undefined) return [DETECTED_LEVEL, storedLevel(value)];
    const severity = sent.findIndex((text, index) => index % 2 === 0 && text === 'severity_number');
    const level = severity < 0 ? this.levelOf(bytes, start, end) : levelOfSeverity(sent[severity + 1]!);
    return LEVEL_PAIRS[level] as readonly string[];
  }
}
