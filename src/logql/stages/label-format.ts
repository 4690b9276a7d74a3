/** `| label_format target=source, other="template"`. */
import type { LabelFormat } from '../ast.ts';
import { fromByteText } from '../template/byte-text.ts';
import type { TemplateData } from '../template/exec.ts';
import { type CompiledTemplate, compileTemplate } from '../template/template.ts';
import { TemplateError } from '../template/values.ts';
import { type Entry, ERROR_LABEL } from './entry.ts';
import type { CompiledStage } from './stage.ts';
import { liveData, snapshotData } from './template-data.ts';

type Format = (entry: Entry, data: () => TemplateData) => void;
type StartFormat = (fresh: Entry) => Format;

const compile = (target: string, text: string): CompiledTemplate => {
  try {
    return compileTemplate('label', text);
  } catch (error) {
    const cause = fromByteText((error as Error).message);
    throw new Error(`invalid template for label '${target}': ${cause}`, { cause: error });
  }
};

/** The target takes the value, then the source is deleted, also if both are the same. Nothing happens without a source. */
const rename =
  (target: string, source: string): StartFormat =>
  (fresh) => {
    const to = fresh.id(target);
    const from = fresh.id(source);
    return (entry) => {
      if (!entry.has(from)) return;
      entry.setParsedText(to, entry.text(from));
      entry.delete(from);
    };
  };

const render =
  (target: string, template: CompiledTemplate): StartFormat =>
  (fresh) => {
    const id = fresh.id(target);
    return (entry, data) => {
      try {
        entry.setParsedText(id, fromByteText(template.execute(data())));
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        entry.setTemplateError(fromByteText(error.message));
      }
    };
  };

const compileFormat = (format: LabelFormat): StartFormat =>
  format.kind === 'rename'
    ? rename(format.target, format.source)
    : render(format.target, compile(format.target, format.template));

const checkTargets = (formats: readonly LabelFormat[]): void => {
  const seen = new Set<string>();
  for (const { target } of formats) {
    if (target === ERROR_LABEL) throw new Error(`${ERROR_LABEL} cannot be formatted`);
    if (seen.has(target)) throw new Error(`multiple label name '${target}' not allowed in a single format operation`);
    seen.add(target);
  }
};

/**
 * All templates of one stage see the labels as they were at its first template.
 * @throws Error with Loki's text for bad targets and templates
 */
export const compileLabelFormat = (formats: readonly LabelFormat[]): CompiledStage => {
  checkTargets(formats);
  const starts = formats.map(compileFormat);
  return {
    start: (fresh) => {
      const runs = starts.map((start) => start(fresh));
      return (entry) => {
        let data: TemplateData | undefined;
        const lazyData = (): TemplateData => {
          data ??= runs.length === 1 ? liveData(entry) : snapshotData(entry);
          return data;
        };
        for (const run of runs) run(entry, lazyData);
        return true;
      };
    },
  };
};
