import type { LabelFilter, Unwrap } from '../../logql/ast.ts';
import type { PipelineRun } from '../../logql/pipeline.ts';
import { type Parsed, parseGoBytes, parseGoDuration, parseGoFloat } from '../../logql/stages/go-number.ts';
import { compareBytes } from '../../protocol/label-text.ts';
import { type AfterUnwrap, compileAfterUnwrap } from './after-unwrap.ts';

const NS_PER_SECOND = 1e9;
const CONVERSION_ERROR = 'SampleExtractionErr';

const PARSERS: Record<Unwrap['conversion'], (text: string) => Parsed> = {
  none: parseGoFloat,
  bytes: parseGoBytes,
  duration: (text) => inSeconds(parseGoDuration(text)),
  duration_seconds: (text) => inSeconds(parseGoDuration(text)),
};

const inSeconds = (parsed: Parsed): Parsed => ('value' in parsed ? { value: parsed.value / NS_PER_SECOND } : parsed);

/** Where an entry's labels are found. */
export type UnwrapSource = Pick<PipelineRun, 'error' | 'get' | 'has' | 'handleOf' | 'plainNumber' | 'finalLabels'>;

/** `| unwrap label` and the filters behind it: one entry's number. Reused from entry to entry. */
export class UnwrappedValue {
  readonly #unwrap: Unwrap;
  readonly #filters: readonly AfterUnwrap[];
  readonly #readsPlain: boolean;
  #handle = 0;
  value = 0;
  /** After `take`: `__error__` of the sample, "" if it is good. */
  error = '';
  errorDetails = '';

  constructor(unwrap: Unwrap) {
    this.#unwrap = unwrap;
    // Errors are labels of which the entry's own are no part.
    this.#readsPlain = unwrap.conversion === 'none' && !unwrap.name.startsWith('__error');
    this.#filters = unwrap.filters.map((filter: LabelFilter) => compileAfterUnwrap(filter));
  }

  /** Before the first entry of a stream. */
  startStream(run: Pick<UnwrapSource, 'handleOf'>): void {
    this.#handle = run.handleOf(this.#unwrap.name);
  }

  /** False if the entry gives no sample: the label is missing or empty, or a filter drops it. */
  take(run: UnwrapSource): boolean {
    this.error = run.error;
    this.errorDetails = '';
    this.value = this.#readsPlain ? run.plainNumber(this.#handle) : Number.NaN;
    if (Number.isNaN(this.value) && !this.#convert(run)) return false;
    return this.#filters.every((filter) => filter(run, this));
  }

  #convert(run: UnwrapSource): boolean {
    const text = run.get(this.#unwrap.name);
    if (text === '') return false;
    const parsed = PARSERS[this.#unwrap.conversion](text);
    this.value = 'value' in parsed ? parsed.value : 0;
    if ('error' in parsed) {
      this.error = CONVERSION_ERROR;
      this.errorDetails = parsed.error;
    }
    return true;
  }

  /** An error of a filter: the first one stays. */
  setFilterError(error: string, details: string): void {
    if (this.error !== '') return;
    this.error = error;
    this.errorDetails = details;
  }

  /** Labels with the error, for the text of the query's failure. */
  finalLabels(run: UnwrapSource): readonly string[] {
    const pairs: [string, string][] = [];
    const labels = run.finalLabels();
    for (let index = 0; index < labels.length; index += 2) {
      if (this.errorDetails !== '' && labels[index]!.startsWith('__error')) continue;
      pairs.push([labels[index]!, labels[index + 1]!]);
    }
    if (this.errorDetails !== '') pairs.push(['__error__', this.error], ['__error_details__', this.errorDetails]);
    return pairs.sort((a, b) => compareBytes(a[0], b[0])).flat();
  }
}
