/** Runs the stages of a log query over lines, for tests. */
import type { LogExpr } from '../../../../src/logql/ast.ts';
import { compilePipeline } from '../../../../src/logql/compile-pipeline.ts';
import { ALL_LABELS } from '../../../../src/logql/hints.ts';
import { parseExpr } from '../../../../src/logql/parser.ts';
import type { LabelHints, PipelineRun } from '../../../../src/logql/pipeline.ts';
import { decodeUtf8 } from '../../../../src/logql/stages/utf8-text.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Kept {
  /** Counted from 1, as in the specification's tables. */
  readonly number: number;
  readonly line: string;
  /** Labels beyond those of the stream. */
  readonly labels: Labels;
}

export interface RunOptions {
  readonly stream?: Labels;
  readonly hints?: LabelHints;
  readonly metadata?: Labels;
  readonly timeNs?: bigint;
}

const sortedPairs = (labels: Labels): readonly string[] =>
  Object.entries(labels)
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .flat();

export const labelsOf = (pairs: readonly string[]): Labels => {
  const labels: Record<string, string> = {};
  for (let index = 0; index < pairs.length; index += 2) labels[pairs[index]!] = pairs[index + 1]!;
  return labels;
};

/** Stages of `{app="a"} <tail>`. */
export const stagesOf = (tail: string): LogExpr['stages'] => (parseExpr(`{app="a"} ${tail}`) as LogExpr).stages;

export const startRun = (tail: string, { stream = { app: 'a' }, hints = ALL_LABELS }: RunOptions = {}): PipelineRun =>
  compilePipeline(stagesOf(tail), { hints }).forStream({ pairs: sortedPairs(stream), canonical: '', fingerprint: 0n });

/** The line between other bytes, as in a block. */
export const processLine = (run: PipelineRun, line: string | Buffer, options: RunOptions = {}): boolean => {
  const text = Buffer.from(line as string);
  const bytes = Buffer.concat([Buffer.from('"{='), text, Buffer.from('}"= x')]);
  const metadata = options.metadata === undefined ? undefined : sortedPairs(options.metadata);
  return run.process(bytes, 3, 3 + text.length, () => options.timeNs ?? 0n, metadata);
};

export const runLines = (
  tail: string,
  lines: readonly (string | Buffer)[],
  options: RunOptions = {},
): readonly Kept[] => {
  const run = startRun(tail, options);
  const stream = options.stream ?? { app: 'a' };
  return lines.flatMap((line, index) => {
    if (!processLine(run, line, options)) return [];
    const labels = Object.entries(labelsOf(run.finalLabels())).filter(([name, value]) => stream[name] !== value);
    return [
      {
        number: index + 1,
        line: decodeUtf8(run.lineBytes, run.lineStart, run.lineEnd),
        labels: Object.fromEntries(labels),
      },
    ];
  });
};

/** Labels (beyond the stream's) of one line that is kept; undefined if it is dropped. */
export const labelsAfter = (tail: string, line: string | Buffer, options: RunOptions = {}): Labels | undefined =>
  runLines(tail, [line], options)[0]?.labels;

/** The line after the stages; undefined if it is dropped. */
export const lineAfter = (tail: string, line: string | Buffer, options: RunOptions = {}): string | undefined =>
  runLines(tail, [line], options)[0]?.line;

/** Numbers of the kept lines, with E behind those that carry an error. */
export const keptNumbers = (tail: string, lines: readonly string[], options: RunOptions = {}): string =>
  runLines(tail, lines, options)
    .map(({ number, labels }) => `${number}${labels['__error__'] === undefined ? '' : 'E'}`)
    .join(' ');
