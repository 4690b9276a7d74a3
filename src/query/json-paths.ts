import { sanitizeLabelName } from '../logql/stages/label-names.ts';

/** Nested deeper no names are made. */
const DEPTH_MAX = 128;

/** Name of a label that `| json` makes of the line → the keys that lead to its value. */
export const jsonPathsOf = (line: string): ReadonlyMap<string, readonly string[]> => {
  const paths = new Map<string, readonly string[]>();
  let root: unknown;
  try {
    root = JSON.parse(line);
  } catch {
    return paths;
  }
  const visit = (value: unknown, name: string, path: readonly string[]): void => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      if (!paths.has(name)) paths.set(name, path);
      return;
    }
    if (path.length >= DEPTH_MAX) return;
    for (const [key, inner] of Object.entries(value)) {
      const part = sanitizeLabelName(key, name === '');
      visit(inner, name === '' ? part : `${name}_${part}`, [...path, key]);
    }
  };
  visit(root, '', []);
  return paths;
};
