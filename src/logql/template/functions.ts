/** What templates can call: builtins of Go's text/template and the functions Loki adds. */
import { BUILTINS } from './builtins.ts';
import { ENCODING_FUNCTIONS } from './functions-encoding.ts';
import { MATH_FUNCTIONS } from './functions-math.ts';
import { STRING_FUNCTIONS } from './functions-strings.ts';
import { TIME_FUNCTIONS } from './functions-time.ts';
import type { TemplateFunction } from './template-function.ts';

/** `__line__` and `__timestamp__` take no arguments: the entry gives them. */
export const ENTRY_FUNCTIONS = ['__line__', '__timestamp__'] as const;

export const FUNCTIONS: ReadonlyMap<string, TemplateFunction> = new Map([
  ...Object.entries(BUILTINS),
  ...Object.entries(STRING_FUNCTIONS),
  ...Object.entries(MATH_FUNCTIONS),
  ...Object.entries(TIME_FUNCTIONS),
  ...Object.entries(ENCODING_FUNCTIONS),
]);

/** `and` and `or` stop early, so the executor has them. */
export const LAZY_FUNCTIONS = ['and', 'or'] as const;

export const FUNCTION_NAMES: ReadonlySet<string> = new Set([
  ...FUNCTIONS.keys(),
  ...ENTRY_FUNCTIONS,
  ...LAZY_FUNCTIONS,
]);
