import type { CompareOp, LabelFilter } from '../../logql/ast.ts';
import { compileFilterMatcher } from '../../logql/matcher.ts';
import type { PipelineRun } from '../../logql/pipeline.ts';
import { type Parsed, parseGoBytes, parseGoDuration, parseGoFloat } from '../../logql/stages/go-number.ts';
import { IpMatcher } from '../../logql/stages/ip-matcher.ts';

/** Where a filter behind `unwrap` finds and leaves the sample's error. */
interface SampleError {
  readonly error: string;
  setFilterError(error: string, details: string): void;
}

/** A label filter behind `unwrap`: it sees the labels the pipeline left and the error of the conversion. False drops the sample. */
export type AfterUnwrap = (run: Pick<PipelineRun, 'get' | 'has'>, sample: SampleError) => boolean;

const PARSERS = { number: parseGoFloat, duration: parseGoDuration, bytes: parseGoBytes } as const;

/** @throws RefusedError for a regex that does not parse, Error for a bad address */
export const compileAfterUnwrap = (filter: LabelFilter): AfterUnwrap => {
  switch (filter.kind) {
    case 'string': {
      const matches = compileFilterMatcher(filter.matcher);
      const { name } = filter.matcher;
      return (run, sample) => matches(name === '__error__' ? sample.error : run.get(name));
    }
    case 'number':
    case 'duration':
    case 'bytes':
      return typedFilter(filter.name, PARSERS[filter.kind], filter.op, filter.value);
    case 'ip':
      return ipFilter(filter.name, filter.value, filter.op === '=');
    case 'and':
    case 'or': {
      const left = compileAfterUnwrap(filter.left);
      const right = compileAfterUnwrap(filter.right);
      if (filter.kind === 'and') return (run, sample) => left(run, sample) && right(run, sample);
      return (run, sample) => left(run, sample) || right(run, sample);
    }
  }
};

const typedFilter = (name: string, parse: (text: string) => Parsed, op: CompareOp, wanted: number): AfterUnwrap => {
  const compare = COMPARISONS[op];
  return (run, sample) => {
    if (!run.has(name)) return false;
    const parsed = parse(run.get(name));
    if ('value' in parsed) return compare(parsed.value, wanted);
    sample.setFilterError('LabelFilterErr', parsed.error);
    return true;
  };
};

const ipFilter = (name: string, pattern: string, keepsMatch: boolean): AfterUnwrap => {
  const ip = new IpMatcher(pattern);
  return (run) => {
    if (!run.has(name)) return false;
    const bytes = Buffer.from(run.get(name), 'utf8');
    return ip.isIn(bytes, 0, bytes.length) === keepsMatch;
  };
};

const COMPARISONS: Record<CompareOp, (value: number, wanted: number) => boolean> = {
  '=': (value, wanted) => value === wanted,
  '==': (value, wanted) => value === wanted,
  '!=': (value, wanted) => value !== wanted,
  '>': (value, wanted) => value > wanted,
  '>=': (value, wanted) => value >= wanted,
  '<': (value, wanted) => value < wanted,
  '<=': (value, wanted) => value <= wanted,
};
