/** One stage of the tree to one that runs. */
import { RefusedError } from '../protocol/refusal.ts';
import type { LabelFilter, Stage } from './ast.ts';
import { printStage } from './print.ts';
import { compileDecolorize } from './stages/decolorize.ts';
import { compileDrop } from './stages/drop.ts';
import { compileJson } from './stages/json.ts';
import { compileJsonExpressions } from './stages/json-expressions.ts';
import { compileKeep } from './stages/keep.ts';
import { compileLabelFilter } from './stages/label-filter.ts';
import { compileLabelFormat } from './stages/label-format.ts';
import { compileLineFilter } from './stages/line-filter.ts';
import { compileLineFormat } from './stages/line-format.ts';
import { compileLogfmt, compileLogfmtExpressions } from './stages/logfmt.ts';
import { compilePatternParser } from './stages/pattern.ts';
import { compileRegexpParser } from './stages/regexp.ts';
import type { CompiledStage } from './stages/stage.ts';
import { compileUnpack } from './stages/unpack.ts';
import { parseError } from './syntax-error.ts';

const compile = (stage: Stage, followingFilters: readonly LabelFilter[]): CompiledStage => {
  switch (stage.kind) {
    case 'lineFilter':
      return compileLineFilter(stage);
    case 'json':
      return stage.extracts.length > 0 ? compileJsonExpressions(stage.extracts) : compileJson(followingFilters);
    case 'logfmt':
      return stage.extracts.length > 0
        ? compileLogfmtExpressions(stage, stage.extracts)
        : compileLogfmt(stage, followingFilters);
    case 'regexp':
      return compileRegexpParser(stage.pattern);
    case 'pattern':
      return compilePatternParser(stage.pattern, followingFilters);
    case 'unpack':
      return compileUnpack();
    case 'labelFilter':
      return compileLabelFilter(stage.filter);
    case 'lineFormat':
      return compileLineFormat(stage.template);
    case 'labelFormat':
      return compileLabelFormat(stage.formats);
    case 'decolorize':
      return compileDecolorize();
    case 'drop':
      return compileDrop(stage.targets);
    case 'keep':
      return compileKeep(stage.targets);
  }
};

/** Adds Loki's frame to a cause: `parse error : stage '…' : cause`. */
export const refusingStage = <T>(stage: Stage, build: () => T): T => {
  try {
    return build();
  } catch (error) {
    if (error instanceof RefusedError) throw error;
    throw parseError(`stage '${printStage(stage)}' : ${(error as Error).message}`, { cause: error });
  }
};

/**
 * @param followingFilters label filters that stand directly behind the stage: a parser may try them early
 * @throws RefusedError `INVALID_QUERY`
 */
export const compileStage = (stage: Stage, followingFilters: readonly LabelFilter[]): CompiledStage =>
  refusingStage(stage, () => compile(stage, followingFilters));
