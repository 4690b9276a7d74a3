import { compileTemplate } from './template.ts';

/** Names of the labels a template reads; none for one that does not parse (compiling the stage reports that). */
export const templateFieldNames = (text: string): readonly string[] => {
  try {
    return compileTemplate('line', text).fieldNames;
  } catch {
    return [];
  }
};
