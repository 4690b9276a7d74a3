/** What the scan and the stages say to each other. The stages are in stages/, one a file; compilePipeline puts them together. */
import type { LabelSet } from '../protocol/label-set.ts';
import type { KeyTable } from './stages/key-table.ts';
import type { TextNeed } from './text-need.ts';

/** What a metric query needs of the labels (Loki's label hints: they are observable, spec 15.2). A log query needs all. */
export interface LabelHints {
  /** 'all', 'none' (parsers do nothing and raise no error) or the names to extract. */
  readonly extract: 'all' | 'none' | readonly string[];
  /** Parser errors are kept as labels instead of failing the query (the query names `__error__`). */
  readonly preserveError: boolean;
}

/**
 * A literal test over raw lines that decides or narrows: a line without one of `anyOf` cannot survive the pipeline. `exact`: passing all
 * tests IS the leading line filters, so process() may be told to skip them.
 */
export interface RequiredLiteral {
  readonly anyOf: readonly Uint8Array[];
}

export interface Pipeline {
  /** What a RAW line must hold to survive the pipeline, however its ASCII letters are written; undefined if nothing can be said. */
  readonly needs: TextNeed | undefined;
  /** In order of rarity guess (longest first). Valid on the RAW line, before any stage. */
  readonly requiredLiterals: readonly RequiredLiteral[];
  /** True if there is no stage at all after what requiredLiterals fully decide: a hit of the (single-alternative) literals is a kept line. */
  readonly isDecidedByLiterals: boolean;
  /**
   * True if stages can make labels of an entry differ from the stream's (parsers, label_format, drop, keep, filters that mark errors):
   * else they are fixed per stream, but for structured metadata, which is always the entry's own.
   */
  readonly changesLabels: boolean;
  /** True if the line can be rewritten (line_format, decolorize, unpack). */
  readonly changesLine: boolean;
  /** A mutable runner for the entries of one stream; cheap to make, kept for the scan of one chunk. */
  forStream(labels: LabelSet): PipelineRun;
}

export interface PipelineRun {
  /**
   * Runs the stages over one line. False: dropped. After true the getters below describe the entry until the next call.
   * `bytes` is borrowed; `metadata` is flat pairs or undefined; time is for templates only (`__timestamp__`).
   */
  process(
    bytes: Buffer,
    start: number,
    end: number,
    timeNs: () => bigint,
    metadata: readonly string[] | undefined,
  ): boolean;
  /** The line after the pipeline: [lineStart, lineEnd) of lineBytes (the same buffer when unchanged). */
  readonly lineBytes: Buffer;
  readonly lineStart: number;
  readonly lineEnd: number;
  /** Value of a label now ("" when missing): stream, metadata or parsed; `__error__` too. */
  get(name: string): string;
  /** A number for a label's name. Ask before the first `process`. */
  handleOf(name: string): number;
  /** True if the stages left the label as it is in the stream (or missing), and marked no error. */
  isOfStream(handle: number): boolean;
  /** What `table` has for the value, without making text of it; undefined if nothing, or if the value does not stand in the line as it is. */
  findByValue<T>(handle: number, table: KeyTable<T>): T | undefined;
  /** Puts the value into `table`. False if it does not stand in the line as it is, or is empty. */
  rememberValue<T>(handle: number, table: KeyTable<T>, about: T): boolean;
  /** The value as a number, if it stands in the line as a plain decimal; else NaN: read its text. */
  plainNumber(handle: number): number;
  readonly error: string;
  /** The error is a parser's and the query asked to keep it (LabelHints.preserveError): it does not fail a metric query. */
  readonly isErrorPreserved: boolean;
  /** True if the label exists, also with the value "" (which `by (name)` keeps apart from missing). */
  has(name: string): boolean;
  /** Final labels as sorted flat pairs, with __error__ and __error_details__ when set. Allocates: call it per distinct key, not per line. */
  finalLabels(): readonly string[];
  /** Split by origin, for categorize-labels: stream labels, structured metadata, parsed. */
  categorized(): {
    readonly stream: readonly string[];
    readonly metadata: readonly string[];
    readonly parsed: readonly string[];
  };
  /**
   * A key equal for two entries of this stream iff their finalLabels() are equal; "" while nothing differs from the stream's labels.
   * Cheap: concatenates only what was added or deleted.
   */
  labelsKey(): string;
}
