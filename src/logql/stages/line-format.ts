/** `| line_format "template"`: the rendered text becomes the line. */
import { fromByteText } from '../template/byte-text.ts';
import { type CompiledTemplate, compileTemplate } from '../template/template.ts';
import { TemplateError } from '../template/values.ts';
import type { CompiledStage } from './stage.ts';
import { liveData } from './template-data.ts';

const compile = (text: string): CompiledTemplate => {
  try {
    return compileTemplate('line', text);
  } catch (error) {
    throw new Error(`invalid line template: ${fromByteText((error as Error).message)}`, { cause: error });
  }
};

/** `{{.name}}` alone reads only labels: the error marks are invisible to it. */
const singleField = (name: string): CompiledStage => ({
  start: (fresh) => {
    const id = fresh.id(name);
    return (entry) => {
      entry.setLine(Buffer.from(entry.text(id), 'utf8'));
      return true;
    };
  },
});

/** @throws Error with Loki's text for a template that does not parse */
export const compileLineFormat = (text: string): CompiledStage => {
  const template = compile(text);
  if (template.singleField !== undefined) return singleField(template.singleField);
  return {
    start: () => (entry) => {
      try {
        entry.setLine(Buffer.from(template.execute(liveData(entry)), 'latin1'));
      } catch (error) {
        if (!(error instanceof TemplateError)) throw error;
        entry.setTemplateError(fromByteText(error.message));
      }
      return true;
    },
  };
};
