/** Stages of a query → Pipeline. */
import type { LabelSet } from '../protocol/label-set.ts';
import type { LabelFilter, Stage } from './ast.ts';
import { compileStage, refusingStage } from './compile-stage.ts';
import { needsOfLabelFilters } from './label-needs.ts';
import type { LabelHints, Pipeline, PipelineRun, RequiredLiteral } from './pipeline.ts';
import { Entry, ERROR_DETAILS_LABEL, ERROR_LABEL, ORIGIN } from './stages/entry.ts';
import { categorizedLabels, finalLabels, LabelsKeys } from './stages/entry-labels.ts';
import { parsePlainDecimal } from './stages/go-number.ts';
import { hashOf, type KeyTable } from './stages/key-table.ts';
import { compileLineFilter, type LineFilter } from './stages/line-filter.ts';
import type { CompiledStage, RunStage } from './stages/stage.ts';
import { needAll, type TextNeed } from './text-need.ts';

type Compiled =
  | { readonly stage: Stage; readonly filter: LineFilter }
  | { readonly stage: Stage; readonly filter: undefined; readonly compiled: CompiledStage };

const PARSERS: ReadonlySet<Stage['kind']> = new Set(['json', 'logfmt', 'regexp', 'pattern', 'unpack']);
const LINE_CHANGERS: ReadonlySet<Stage['kind']> = new Set(['unpack', 'lineFormat', 'decolorize']);

const filtersAfter = (stages: readonly Stage[], index: number): readonly LabelFilter[] => {
  const filters: LabelFilter[] = [];
  for (let next = index + 1; next < stages.length; next++) {
    const stage = stages[next]!;
    if (stage.kind === 'labelFilter') filters.push(stage.filter);
    else if (stage.kind !== 'lineFilter') break;
  }
  return filters;
};

const compileAll = (stages: readonly Stage[]): readonly Compiled[] =>
  stages.map((stage, index): Compiled => {
    if (stage.kind !== 'lineFilter') {
      return { stage, filter: undefined, compiled: compileStage(stage, filtersAfter(stages, index)) };
    }
    return { stage, filter: refusingStage(stage, () => compileLineFilter(stage)) };
  });

/** Stages that change the line end a part; inside one, line filters may stand first, since the others leave the line alone. */
const partsOf = (all: readonly Compiled[]): readonly (readonly Compiled[])[] => {
  const parts: Compiled[][] = [[]];
  for (const compiled of all) {
    parts.at(-1)!.push(compiled);
    if (LINE_CHANGERS.has(compiled.stage.kind)) parts.push([]);
  }
  return parts;
};

const cost = ({ isExact }: LineFilter): number => (isExact ? 0 : 1);

const filtersOf = (part: readonly Compiled[]): readonly LineFilter[] =>
  part
    .flatMap(({ filter }) => (filter === undefined || filter.keepsAll ? [] : [filter]))
    .sort((left, right) => cost(left) - cost(right));

/** Line filters of a part first: they drop lines before dearer stages see them. */
const inRunningOrder = (part: readonly Compiled[]): readonly CompiledStage[] => [
  ...filtersOf(part),
  ...part.flatMap((compiled) => (compiled.filter === undefined ? [compiled.compiled] : [])),
];

const shortest = ({ anyOf }: RequiredLiteral): number => Math.min(...anyOf.map((literal) => literal.length));

const literalsOf = (filters: readonly LineFilter[]): readonly RequiredLiteral[] =>
  filters
    .flatMap(({ required }) => (required === undefined ? [] : [{ anyOf: required }]))
    .sort((left, right) => shortest(right) - shortest(left));

const canChangeLabels = ({ kind }: Stage): boolean => kind !== 'lineFilter' && kind !== 'decolorize';

const isPureStringFilter = (stage: Stage): boolean => stage.kind === 'labelFilter' && stage.filter.kind === 'string';

class CompiledPipeline implements Pipeline {
  readonly requiredLiterals: readonly RequiredLiteral[];
  readonly needs: TextNeed | undefined;
  readonly isDecidedByLiterals: boolean;
  readonly changesLabels: boolean;
  readonly changesLine: boolean;
  readonly #stages: readonly CompiledStage[];
  readonly #hints: LabelHints;

  constructor(all: readonly Compiled[], hints: LabelHints) {
    const parts = partsOf(all);
    const filters = filtersOf(parts[0]!);
    this.#hints = hints;
    this.#stages = parts.flatMap(inRunningOrder);
    this.requiredLiterals = literalsOf(filters);
    this.needs = needAll([
      ...filters.map(({ needs }) => needs),
      needsOfLabelFilters(parts[0]!.map(({ stage }) => stage)),
    ]);
    this.isDecidedByLiterals =
      this.#stages.length === filters.length &&
      filters.every(({ isExact, required }) => isExact && required?.length === 1);
    this.changesLabels = all.some(({ stage }) => canChangeLabels(stage) && !isPureStringFilter(stage));
    this.changesLine = all.some(({ stage }) => LINE_CHANGERS.has(stage.kind));
  }

  forStream(labels: LabelSet): PipelineRun {
    return new Run(labels, this.#hints, this.#stages);
  }
}

class Run implements PipelineRun {
  readonly #entry: Entry;
  readonly #keys = new LabelsKeys();
  readonly #stages: readonly RunStage[];

  constructor(labels: LabelSet, hints: LabelHints, stages: readonly CompiledStage[]) {
    const entry = new Entry(labels, hints);
    this.#entry = entry;
    this.#stages = stages.map((stage) => stage.start(entry));
    entry.fixNames();
  }

  process(
    bytes: Buffer,
    start: number,
    end: number,
    timeNs: () => bigint,
    metadata: readonly string[] | undefined,
  ): boolean {
    const entry = this.#entry;
    const stages = this.#stages;
    entry.begin(bytes, start, end, timeNs);
    if (metadata !== undefined) entry.addMetadata(metadata);
    for (let index = 0; index < stages.length; index++) if (!stages[index]!(entry)) return false;
    return true;
  }

  get lineBytes(): Buffer {
    return this.#entry.lineBytes;
  }

  get lineStart(): number {
    return this.#entry.lineStart;
  }

  get lineEnd(): number {
    return this.#entry.lineEnd;
  }

  get error(): string {
    return this.#entry.error;
  }

  get isErrorPreserved(): boolean {
    return this.#entry.isErrorPreserved;
  }

  get(name: string): string {
    if (name === ERROR_LABEL && this.#entry.error !== '') return this.#entry.error;
    if (name === ERROR_DETAILS_LABEL && this.#entry.errorDetails !== '') return this.#entry.errorDetails;
    return this.#entry.text(this.#entry.id(name));
  }

  has(name: string): boolean {
    if (name === ERROR_LABEL && this.#entry.error !== '') return true;
    if (name === ERROR_DETAILS_LABEL && this.#entry.errorDetails !== '') return true;
    return this.#entry.has(this.#entry.id(name));
  }

  handleOf(name: string): number {
    const handle = this.#entry.id(name);
    this.#entry.fixNames();
    return handle;
  }

  isOfStream(handle: number): boolean {
    return this.#entry.error === '' && this.#entry.origin(handle) === ORIGIN.stream;
  }

  findByValue<T>(handle: number, table: KeyTable<T>): T | undefined {
    const entry = this.#entry;
    if (!entry.isPlainBytes(handle)) return undefined;
    const bytes = entry.valueBytes(handle);
    const start = entry.valueStart(handle);
    const end = entry.valueEnd(handle);
    return table.find(bytes, start, end, hashOf(bytes, start, end));
  }

  rememberValue<T>(handle: number, table: KeyTable<T>, about: T): boolean {
    const entry = this.#entry;
    if (!entry.isPlainBytes(handle)) return false;
    const raw = Uint8Array.prototype.slice.call(
      entry.valueBytes(handle),
      entry.valueStart(handle),
      entry.valueEnd(handle),
    );
    if (raw.length === 0) return false;
    table.add(raw, hashOf(raw, 0, raw.length), about);
    return true;
  }

  plainNumber(handle: number): number {
    const entry = this.#entry;
    if (!entry.isPlainBytes(handle)) return Number.NaN;
    return parsePlainDecimal(entry.valueBytes(handle), entry.valueStart(handle), entry.valueEnd(handle));
  }

  finalLabels(): readonly string[] {
    return finalLabels(this.#entry);
  }

  categorized(): ReturnType<PipelineRun['categorized']> {
    return categorizedLabels(this.#entry);
  }

  labelsKey(): string {
    return this.#keys.keyOf(this.#entry);
  }
}

/**
 * The stages of a query, checked and ready to run. With hints that extract nothing, parsers are left out: they would do nothing.
 * @throws RefusedError `INVALID_QUERY` with Loki's text for what does not compile
 */
export const compilePipeline = (stages: readonly Stage[], { hints }: { readonly hints: LabelHints }): Pipeline => {
  const all = compileAll(stages);
  const running = hints.extract === 'none' ? all.filter(({ stage }) => !PARSERS.has(stage.kind)) : all;
  return new CompiledPipeline(running, hints);
};

/** @throws RefusedError `INVALID_QUERY` if a stage does not compile */
export const validateStages = (stages: readonly Stage[]): void => {
  compileAll(stages);
};
