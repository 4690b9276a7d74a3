/** Log records of an export → streams of a push: what both encodings of OTLP do with what they read. */
import { ColumnBuilder, tooMany } from '../column-builder.ts';
import type { PushedStream } from '../entry-columns.ts';
import { canonicalText, compareBytes } from '../label-text.ts';
import type { BodyMemory } from '../large-bodies.ts';
import { metadataNameOf } from '../structured-metadata.ts';
import { type AnyValue, isMap, textOf } from './any-value.ts';
import type { OtlpRules } from './otlp-rules.ts';
import { SideLines } from './side-lines.ts';

export interface OtlpStreamsOptions {
  readonly rules: OtlpRules;
  /** The time of records that have none. */
  readonly nowMs: number;
  /** Of the lines that are written anew, and of what is repeated with every record. */
  readonly bytesMax: number;
  readonly memory?: BodyMemory | undefined;
}

/** Safety valves (chosen, far above real exports): ranges of entries, and pairs of one resource, scope or record. */
const STREAMS_MAX = 100_000;
const PAIR_TEXTS_MAX = 2 * 16_384;
/** Label sets of one resource that are kept while its records alternate between them. */
const LABEL_TEXTS_MAX = 1024;
/** What a pair takes in each record beside its bytes: two references. */
const PAIR_BYTES = 16;

interface StreamRange {
  readonly labelText: Uint8Array;
  readonly isAside: boolean;
  readonly first: number;
  readonly end: number;
}

/**
 * Use: `startResource`, its attributes, then `startScope`, its attributes, then for each record its attributes and fields and one of `add…`.
 *
 * Lines stay in the body as long as bodies are plain text. From the first that is not (a number, a map) they are written into a buffer of
 * their own, so that a stream's entries stay in order.
 */
export class OtlpStreams {
  readonly #rules: OtlpRules;
  readonly #options: OtlpStreamsOptions;
  readonly #body: Uint8Array;
  readonly #inPlace: ColumnBuilder;
  readonly #side: SideLines;
  readonly #ranges: StreamRange[] = [];
  #isAside = false;
  /** Labels of the resource. */
  readonly #labels = new Map<string, string>();
  readonly #labelTexts = new Map<string, Buffer>();
  /** Pairs of the resource; those of its scope; both, as each record gets them. */
  #resourcePairs: string[] = [];
  #scopePairs: string[] = [];
  #shared: readonly string[] = [];
  #sharedBytes = 0;
  #repeatedBytes = 0;
  /** Labels and pairs of the record being read. The first `#pairTexts` of `#pairs` count. */
  readonly #ownLabels: string[] = [];
  readonly #pairs: string[] = [];
  #pairTexts = 0;
  /** The range being filled. */
  #labelText: Buffer | undefined;
  #resourceText: Buffer | undefined;
  #first = 0;

  /** @param body what the lines lie in */
  constructor(body: Uint8Array, entriesGuess: number, options: OtlpStreamsOptions) {
    this.#body = body;
    this.#rules = options.rules;
    this.#options = options;
    this.#inPlace = new ColumnBuilder(body, entriesGuess);
    this.#side = new SideLines(options.bytesMax, options.memory);
  }

  /** Texts that each record gets beside its own: what a record costs more. */
  get sharedTexts(): number {
    return this.#shared.length;
  }

  /** Bytes that the push stands for: those of the lines' buffers, and what is repeated with the records. */
  get bytes(): number {
    return this.#body.length + this.#side.size + this.#repeatedBytes;
  }

  streams(): readonly PushedStream[] {
    this.#closeRange();
    const inPlace = this.#inPlace.build();
    const aside = this.#side.build();
    return this.#ranges.map(({ labelText, isAside, first, end }) => ({
      columns: isAside ? aside : inPlace,
      first,
      end,
      labelText,
    }));
  }

  startResource(): void {
    this.#closeRange();
    this.#labels.clear();
    this.#labelTexts.clear();
    this.#resourceText = undefined;
    this.#resourcePairs = [];
  }

  resourceAttribute(name: string, value: AnyValue): void {
    const action = this.#rules.ofResource(name);
    if (action === 'structured_metadata') flatten(name, value, this.#resourcePairs);
    if (action !== 'index_label') return;
    const pairs: string[] = [];
    flatten(name, value, pairs);
    for (let index = 0; index < pairs.length; index += 2) this.#labels.set(pairs[index]!, pairs[index + 1]!);
    if (this.#labels.size * 2 > PAIR_TEXTS_MAX) throw tooMany('labels in one stream');
  }

  startScope(): void {
    this.#scopePairs = [];
  }

  scopeAttribute(name: string, value: AnyValue): void {
    if (this.#rules.ofScope(name) !== 'drop') flatten(name, value, this.#scopePairs);
  }

  scopeField(name: string, text: string): void {
    if (text !== '') this.#scopePairs.push(name, text);
  }

  /** All of the scope, and of its resource, has been read. */
  endScope(): void {
    this.#share();
  }

  recordAttribute(name: string, value: AnyValue): void {
    const { ofRecord } = this.#rules;
    const action = ofRecord ? ofRecord(name) : 'structured_metadata';
    if (action === 'drop') return;
    if (action === 'index_label') {
      flatten(name, value, this.#ownLabels);
      return;
    }
    if (typeof value === 'string') {
      this.recordField(metadataNameOf(name), value);
      return;
    }
    const pairs: string[] = [];
    flatten(name, value, pairs);
    for (let index = 0; index < pairs.length; index += 2) this.recordField(pairs[index]!, pairs[index + 1]!);
  }

  recordField(name: string, text: string): void {
    if (name === '') return;
    if (this.#pairTexts >= PAIR_TEXTS_MAX) throw tooMany('attributes in one record');
    this.#pairs[this.#pairTexts] = name;
    this.#pairs[this.#pairTexts + 1] = text;
    this.#pairTexts += 2;
  }

  severityText(text: string): void {
    this.recordField('severity_text', text);
    if (this.#rules.isSeverityTextLabel) this.#ownLabels.push('severity_text', text);
  }

  /**
   * The record's line lies in the body.
   * @param lineOffset where its length stands, a minimal uvarint
   * @param timeLow and `timeHigh`: its time in ns, as two words
   */
  addInPlace(lineOffset: number, lineStart: number, lineEnd: number, timeLow: number, timeHigh: number): void {
    if (this.#isAside) {
      this.addLine(this.#body.subarray(lineStart, lineEnd), timeLow, timeHigh);
      return;
    }
    this.#open();
    this.#addTo(this.#inPlace, lineOffset, timeLow, timeHigh);
  }

  /** The record's line lies nowhere yet. */
  addLine(line: string | Uint8Array, timeLow: number, timeHigh: number): void {
    if (!this.#isAside) this.#closeRange();
    this.#isAside = true;
    this.#open();
    this.#addTo(this.#side.builder, this.#side.write(line), timeLow, timeHigh);
  }

  #addTo(builder: ColumnBuilder, lineOffset: number, timeLow: number, timeHigh: number): void {
    const pairs = this.#takePairs();
    if (pairs.length > 0) builder.addMetadata(pairs);
    if (timeLow !== 0 || timeHigh !== 0) {
      builder.addWords(lineOffset, timeLow, timeHigh);
      return;
    }
    const { nowMs } = this.#options;
    const seconds = Math.floor(nowMs / 1000);
    builder.add(lineOffset, seconds, Math.trunc((nowMs - seconds * 1000) * 1_000_000));
  }

  /** Pairs of the record, then those it shares; records without own ones share one list. */
  #takePairs(): readonly string[] {
    const shared = this.#shared;
    const own = this.#pairTexts;
    this.#repeatedBytes += this.#sharedBytes;
    if (this.#repeatedBytes > this.#options.bytesMax) {
      throw tooMany('bytes of resource and scope attributes, which are repeated with each record');
    }
    if (own === 0) return shared;
    this.#pairTexts = 0;
    if (shared.length === 0) return this.#pairs.slice(0, own);
    for (let index = 0; index < shared.length; index += 1) this.#pairs[own + index] = shared[index]!;
    return this.#pairs.slice(0, own + shared.length);
  }

  #share(): void {
    const pairs = [...this.#resourcePairs, ...this.#scopePairs];
    if (pairs.length > PAIR_TEXTS_MAX) throw tooMany('attributes in one resource and scope');
    let bytes = (pairs.length / 2) * PAIR_BYTES;
    for (const text of pairs) bytes += Buffer.byteLength(text);
    this.#shared = pairs;
    this.#sharedBytes = bytes;
  }

  /** The record goes on with the range, or begins one if its labels are others. */
  #open(): void {
    const labelText = this.#recordLabels();
    if (labelText === this.#labelText) return;
    this.#closeRange();
    this.#labelText = labelText;
    this.#first = this.#count;
  }

  #recordLabels(): Buffer {
    this.#resourceText ??= textOfLabels(this.#labels);
    if (this.#ownLabels.length === 0) return this.#resourceText;
    const key = JSON.stringify(this.#ownLabels);
    let text = this.#labelTexts.get(key);
    if (!text) {
      const labels = new Map(this.#labels);
      for (let index = 0; index < this.#ownLabels.length; index += 2) {
        labels.set(this.#ownLabels[index]!, this.#ownLabels[index + 1]!);
      }
      text = textOfLabels(labels);
      if (this.#labelTexts.size < LABEL_TEXTS_MAX) this.#labelTexts.set(key, text);
    }
    this.#ownLabels.length = 0;
    return text;
  }

  #closeRange(): void {
    const labelText = this.#labelText;
    this.#labelText = undefined;
    if (!labelText) return;
    if (this.#ranges.length === STREAMS_MAX) throw tooMany('streams in one push');
    this.#ranges.push({ labelText, isAside: this.#isAside, first: this.#first, end: this.#count });
  }

  get #count(): number {
    return this.#isAside ? this.#side.builder.count : this.#inPlace.count;
  }
}

const textOfLabels = (labels: ReadonlyMap<string, string>): Buffer => {
  const names = [...labels].flatMap(([name, value]) => (value === '' ? [] : [name])).sort(compareBytes);
  return Buffer.from(canonicalText(names.flatMap((name) => [name, labels.get(name) ?? ''])));
};

/** An attribute as flat pairs: maps become a pair for each of their values, `a: {b: 1}` → `a_b`. Names of which nothing is left give none. */
const flatten = (name: string, value: AnyValue, pairs: string[], prefix = ''): void => {
  const regular = metadataNameOf(prefix === '' ? name : `${prefix}_${name}`);
  if (isMap(value)) {
    for (const [key, inner] of value) flatten(key, inner, pairs, regular);
    return;
  }
  if (regular === '') return;
  if (pairs.length >= PAIR_TEXTS_MAX) throw tooMany('attributes in one resource, scope or record');
  pairs.push(regular, textOf(value));
};
