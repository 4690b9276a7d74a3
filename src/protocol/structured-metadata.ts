import { compareBytes } from './label-text.ts';

/** Names come again with every entry; what was worked out for one is kept. */
const NAMES_MAX = 4096;
const knownNames = new Map<string, string>();

const REGULAR = /^(?:[a-zA-Z]|_(?!_))(?:[a-zA-Z0-9]|_(?!_))*$/;

/**
 * A name of structured metadata as Loki 3.7 stores it (the API specification, 1.10): `tr.ace-id` → `tr_ace_id`, `9x` → `key_9x`,
 * `__keep__` as it is. "" when nothing but underscores would be left: such a pair is dropped (Loki fails the whole push).
 */
export const metadataNameOf = (name: string): string => {
  const known = knownNames.get(name);
  if (known !== undefined) return known;
  const regular = regularName(name);
  if (knownNames.size < NAMES_MAX && name.length <= 128) knownNames.set(name, regular);
  return regular;
};

const regularName = (name: string): string => {
  const isReserved = name.length > 4 && name.startsWith('__') && name.endsWith('__');
  const replaced = name.replace(/[^a-zA-Z0-9]/gu, '_').replace(/_+/g, '_');
  if (/^_*$/.test(replaced)) return '';
  if (isReserved) return `_${replaced}_`;
  return /^[0-9]/.test(replaced) ? `key_${replaced}` : replaced;
};

/**
 * Pairs as they are stored: names made regular, sorted, each once (the last counts), none with an empty value, U+FFFD as a space.
 * undefined when nothing is left.
 */
export const storedMetadata = (pairs: readonly string[]): readonly string[] | undefined => {
  const known = shapes[pairs.length];
  if (known && hasShape(pairs, known)) return arranged(pairs, known);
  if (isStoredForm(pairs)) return pairs;
  const byName = new Map<string, string>();
  for (let index = 0; index < pairs.length; index += 2) {
    const name = metadataNameOf(pairs[index]!);
    const value = pairs[index + 1]!;
    if (name !== '' && value !== '') byName.set(name, value.replaceAll('\ufffd', ' '));
  }
  if (byName.size === 0) return undefined;
  keepShape(pairs);
  return [...byName].sort(([left], [right]) => compareBytes(left, right)).flat();
};

/** Names as they were sent, and what is stored of them: entries of one sender have the same names in the same order. */
interface Shape {
  readonly names: readonly string[];
  readonly stored: readonly string[];
  /** Where the value of each stored name stands in the pairs. */
  readonly valueAt: readonly number[];
}

/** Longer lists of pairs are no entry of a sane sender's (chosen; Loki allows 128 names). */
const SHAPE_TEXTS_MAX = 256;
const SHAPE_NAME_CHARS_MAX = 128;

/** The one seen last of each length. */
const shapes: (Shape | undefined)[] = new Array<Shape | undefined>(SHAPE_TEXTS_MAX + 1).fill(undefined);

/** True if the values are such that all of them are stored as they are. */
const hasShape = (pairs: readonly string[], { names }: Shape): boolean => {
  for (let index = 0; index < pairs.length; index += 2) {
    if (pairs[index] !== names[index >> 1]) return false;
    const value = pairs[index + 1]!;
    if (value === '' || value.includes('\ufffd')) return false;
  }
  return true;
};

const arranged = (pairs: readonly string[], { stored, valueAt }: Shape): readonly string[] => {
  const arrangedPairs = new Array<string>(stored.length * 2);
  for (let index = 0; index < stored.length; index += 1) {
    arrangedPairs[index * 2] = stored[index]!;
    arrangedPairs[index * 2 + 1] = pairs[valueAt[index]!]!;
  }
  return arrangedPairs;
};

const keepShape = (pairs: readonly string[]): void => {
  if (pairs.length > SHAPE_TEXTS_MAX) return;
  const names = pairs.filter((_, index) => index % 2 === 0);
  if (names.some((name) => name.length > SHAPE_NAME_CHARS_MAX)) return;
  const valueAt = new Map<string, number>();
  for (const [index, name] of names.map(metadataNameOf).entries()) if (name !== '') valueAt.set(name, index * 2 + 1);
  const stored = [...valueAt.keys()].sort(compareBytes);
  shapes[pairs.length] = { names, stored, valueAt: stored.map((name) => valueAt.get(name) ?? 0) };
};

/** True for what most senders send, so that nothing has to be made anew. */
const isStoredForm = (pairs: readonly string[]): boolean => {
  if (pairs.length === 0) return false;
  for (let index = 0; index < pairs.length; index += 2) {
    const name = pairs[index]!;
    const value = pairs[index + 1]!;
    if (!REGULAR.test(name) || value === '' || value.includes('\ufffd')) return false;
    if (index > 0 && pairs[index - 2]! >= name) return false;
  }
  return true;
};

/** Σ bytes of names and values. */
export const metadataBytes = (pairs: readonly string[]): number => {
  let bytes = 0;
  for (const text of pairs) bytes += Buffer.byteLength(text);
  return bytes;
};
