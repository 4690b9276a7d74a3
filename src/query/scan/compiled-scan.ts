import { compilePipeline } from '../../logql/compile-pipeline.ts';
import type { Pipeline } from '../../logql/pipeline.ts';
import type { LabelSet } from '../../protocol/label-set.ts';
import { CompiledHidden, compileMatchers } from './hidden-entries.ts';
import type { ScanPlan } from './scan-messages.ts';
import { compileSkipTest, type SkipTest } from './skip-test.ts';
import { UnwrappedValue } from './unwrapped-value.ts';

/** A plan made ready to run: once per worker and scan. */
export interface CompiledScan {
  readonly pipeline: Pipeline;
  readonly unwrap: UnwrappedValue | undefined;
  readonly matches: (labels: LabelSet) => boolean;
  /** Of blocks that have a skip filter; undefined if it would rule out none. */
  readonly mayPass: SkipTest | undefined;
  /** undefined: nothing is. */
  readonly hidden: CompiledHidden | undefined;
}

/** Plans kept compiled: those of the queries that run at the same time. */
const COMPILED_MAX = 32;

/** Compiles a plan once, by its id, for all its tasks. */
export class CompiledScans {
  readonly #compiled = new Map<string, CompiledScan>();

  /** @throws RefusedError as `compileScan` */
  of(plan: ScanPlan): CompiledScan {
    const known = this.#compiled.get(plan.scanId);
    if (known) return known;
    const compiled = compileScan(plan);
    this.#compiled.set(plan.scanId, compiled);
    const [oldest] = this.#compiled.keys();
    if (this.#compiled.size > COMPILED_MAX && oldest !== undefined) this.#compiled.delete(oldest);
    return compiled;
  }
}

/** @throws RefusedError INVALID_QUERY with Loki's text for a stage that cannot be built */
export const compileScan = ({ matchers, stages, hints, scan, hidden }: ScanPlan): CompiledScan => {
  const pipeline = compilePipeline(stages, { hints });
  return {
    pipeline,
    unwrap: scan.kind === 'metric' && scan.unwrap ? new UnwrappedValue(scan.unwrap) : undefined,
    matches: compileMatchers(matchers),
    mayPass: compileSkipTest(pipeline.needs),
    hidden: hidden && new CompiledHidden(hidden),
  };
};

/** What is to be opened for plans whose matchers are the same. */
export const wantedByAny = (compiled: readonly CompiledScan[]): Pick<CompiledScan, 'matches' | 'mayPass'> => {
  const [{ matches }] = compiled as readonly [CompiledScan];
  const tests = compiled.flatMap(({ mayPass }) => mayPass ?? []);
  const mayPass: SkipTest = (filter, stream) => tests.some((test) => test(filter, stream));
  return { matches, mayPass: tests.length < compiled.length ? undefined : mayPass };
};
