import { compilePipeline } from '../logql/compile-pipeline.ts';
import { parseLogExpr } from '../logql/parser.ts';
import type { Pipeline, PipelineRun } from '../logql/pipeline.ts';
import { parseGoBytes, parseGoDuration, parseGoFloat } from '../logql/stages/go-number.ts';
import { labelSetOf } from '../protocol/label-text.ts';
import { jsonPathsOf } from './json-paths.ts';
import type { LogEntry } from './query-messages.ts';

export type FieldType = 'int' | 'float' | 'boolean' | 'duration' | 'bytes' | 'string';

/** A name that lines or their metadata have values for. */
export interface DetectedField {
  readonly label: string;
  readonly type: FieldType;
  readonly values: ReadonlySet<string>;
  /** Empty: structured metadata. */
  readonly parsers: readonly string[];
  /** Of JSON: the keys that lead to it. */
  readonly jsonPath: readonly string[] | undefined;
}

interface Field {
  type: FieldType;
  readonly values: Set<string>;
  readonly parsers: Set<string>;
  jsonPath: readonly string[] | undefined;
}

const pipelineOf = (stages: string): Pipeline =>
  compilePipeline(parseLogExpr(`{a="b"} | ${stages}`).stages, { hints: { extract: 'all', preserveError: true } });

const JSON_PIPELINE = pipelineOf('json');
const LOGFMT_PIPELINE = pipelineOf('logfmt');
const EXTRACTED = /_extracted$/;

/**
 * Finds fields in entries as Loki does: metadata as it is, lines as JSON or else as logfmt, whatever parsers the query has. Which name is taken is
 * decided against the labels of the stream alone. A field's type is that of the value seen last: entries come newest first, so it is the oldest.
 */
export class DetectedFields {
  readonly #fields = new Map<string, Field>();
  readonly #fieldsMax: number;
  #stream: readonly string[] | undefined;
  #json: PipelineRun | undefined;
  #logfmt: PipelineRun | undefined;

  constructor(fieldsMax: number) {
    this.#fieldsMax = fieldsMax;
  }

  /** @param stream labels of the stream; entries of one stream are best given in a row */
  add(stream: readonly string[], { line, metadata = [] }: LogEntry): void {
    for (let index = 0; index < metadata.length; index += 2) this.#see(metadata[index]!, metadata[index + 1]!);
    if (stream !== this.#stream) {
      const labels = labelSetOf(stream);
      this.#stream = stream;
      this.#json = JSON_PIPELINE.forStream(labels);
      this.#logfmt = LOGFMT_PIPELINE.forStream(labels);
    }
    const bytes = Buffer.from(line);
    const json = parsedBy(this.#json, bytes);
    const isJson = !json.includes('__error__');
    const pairs = isJson ? json : parsedBy(this.#logfmt, bytes);
    let paths: ReadonlyMap<string, readonly string[]> | undefined;
    for (let index = 0; index < pairs.length; index += 2) {
      const name = pairs[index]!;
      const value = pairs[index + 1]!;
      if (value === '' || name === '__error__' || name === '__error_details__') continue;
      const field = this.#see(name, value);
      field?.parsers.add(isJson ? 'json' : 'logfmt');
      if (!isJson || !field || field.jsonPath) continue;
      paths ??= jsonPathsOf(line);
      field.jsonPath = paths.get(name) ?? paths.get(name.replace(EXTRACTED, ''));
    }
  }

  /** By name. */
  list(): readonly DetectedField[] {
    return [...this.#fields]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([label, { type, values, parsers, jsonPath }]) => ({
        label,
        type,
        values,
        parsers: [...parsers],
        jsonPath,
      }));
  }

  /** Undefined where there are too many fields for one more. */
  #see(name: string, value: string): Field | undefined {
    let field = this.#fields.get(name);
    if (!field) {
      if (this.#fields.size >= this.#fieldsMax) return undefined;
      field = { type: 'string', values: new Set(), parsers: new Set(), jsonPath: undefined };
      this.#fields.set(name, field);
    }
    field.type = typeOf(value);
    field.values.add(value);
    return field;
  }
}

const parsedBy = (run: PipelineRun | undefined, bytes: Buffer): readonly string[] => {
  if (!run?.process(bytes, 0, bytes.length, NO_TIME, undefined)) return [];
  return run.categorized().parsed;
};

const NO_TIME = (): bigint => 0n;

const BOOLEANS: ReadonlySet<string> = new Set(['t', 'T', 'true', 'TRUE', 'True', 'f', 'F', 'false', 'FALSE', 'False']);
const INTEGER = /^[+-]?\d{1,19}$/;

const typeOf = (value: string): FieldType => {
  if (INTEGER.test(value)) return 'int';
  if (!('error' in parseGoFloat(value))) return 'float';
  if (BOOLEANS.has(value)) return 'boolean';
  if (!('error' in parseGoDuration(value))) return 'duration';
  return 'error' in parseGoBytes(value) ? 'string' : 'bytes';
};
