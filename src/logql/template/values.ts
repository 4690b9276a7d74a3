/**
 * Go values in templates: string (bytes, see byte-text.ts), boolean, bigint (Go's int), number (float64), null (nil), arrays, maps and
 * a few types of their own. `undefined` is Go's invalid value, printed `<no value>`.
 */
import type { GoTime } from './go-time.ts';

/** Integers of other types than int. */
export class TypedInt {
  readonly value: bigint;
  readonly type: 'int64' | 'uint8';

  constructor(value: bigint, type: 'int64' | 'uint8') {
    this.value = BigInt.asIntN(64, value);
    this.type = type;
  }
}

/** `map[string]string` (the labels: a missing key is "") or `map[string]interface {}` (from JSON). Keys in order. */
export class GoMap {
  readonly holdsStrings: boolean;
  readonly #load: () => ReadonlyMap<string, GoValue>;
  readonly #lookUp: ((key: string) => GoValue) | undefined;
  #entries: ReadonlyMap<string, GoValue> | undefined;

  /**
   * @param load makes the entries when all of them are needed
   * @param lookUp finds one, if that is cheaper
   */
  constructor(load: () => ReadonlyMap<string, GoValue>, holdsStrings: boolean, lookUp?: (key: string) => GoValue) {
    this.#load = load;
    this.holdsStrings = holdsStrings;
    this.#lookUp = lookUp;
  }

  get entries(): ReadonlyMap<string, GoValue> {
    this.#entries ??= this.#load();
    return this.#entries;
  }

  get(key: string): GoValue {
    if (this.#lookUp !== undefined) return this.#lookUp(key);
    return this.entries.get(key) ?? (this.holdsStrings ? '' : null);
  }
}

/** Values that only print and compare as a name or number: time.Month and time.Weekday. */
export class NamedInt {
  readonly value: bigint;
  readonly type: 'time.Month' | 'time.Weekday';
  readonly text: string;

  constructor(value: bigint, type: 'time.Month' | 'time.Weekday', text: string) {
    this.value = value;
    this.type = type;
    this.text = text;
  }
}

export type GoValue =
  | string
  | boolean
  | bigint
  | number
  | null
  | undefined
  | TypedInt
  | NamedInt
  | GoMap
  | GoTime
  | readonly GoValue[];

/** An error inside a template; its text is Go's. */
export class TemplateError extends Error {}

export const isList = (value: GoValue): value is readonly GoValue[] => Array.isArray(value);

export const typeName = (value: GoValue): string => {
  switch (typeof value) {
    case 'string':
      return 'string';
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float64';
    case 'undefined':
      return '<nil>';
    default:
      break;
  }
  if (value === null) return '<nil>';
  if (isList(value)) return '[]interface {}';
  if (value instanceof TypedInt || value instanceof NamedInt) return value.type;
  if (value instanceof GoMap) return value.holdsStrings ? 'map[string]string' : 'map[string]interface {}';
  return 'time.Time';
};

/** The integer in a value of an integer type. */
export const intOf = (value: GoValue): bigint | undefined => {
  if (typeof value === 'bigint') return value;
  return value instanceof TypedInt || value instanceof NamedInt ? value.value : undefined;
};

/** What `if` takes for true: everything but false, 0, nil and what is empty. */
export const isTrue = (value: GoValue): boolean => {
  if (value === null || value === undefined) return false;
  if (typeof value === 'object') {
    if (isList(value)) return value.length > 0;
    if (value instanceof GoMap) return value.entries.size > 0;
    return intOf(value) !== 0n;
  }
  return typeof value === 'bigint' ? value !== 0n : Boolean(value) || Number.isNaN(value);
};
