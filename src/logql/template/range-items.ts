import { GoMap, type GoValue, intOf, isList } from './values.ts';

/** Key and item of each round of `range`, made when it begins: most templates leave early, and a number may be any. undefined: it has none. */
export const rangeItems = (value: GoValue): Iterable<readonly [GoValue, GoValue]> | undefined => {
  const count = intOf(value);
  if (count !== undefined) return numbersBelow(count);
  if (isList(value)) return itemsOf(value);
  if (value instanceof GoMap) return value.entries;
  if (typeof value === 'string') return bytesOf(value);
  return value === null || value === undefined ? [] : undefined;
};

function* numbersBelow(count: bigint): Generator<readonly [GoValue, GoValue]> {
  for (let index = 0n; index < count; index++) yield [index, index];
}

function* itemsOf(list: readonly GoValue[]): Generator<readonly [GoValue, GoValue]> {
  for (const [index, item] of list.entries()) yield [BigInt(index), item];
}

function* bytesOf(text: string): Generator<readonly [GoValue, GoValue]> {
  for (let index = 0; index < text.length; index++) yield [BigInt(index), BigInt(text.charCodeAt(index))];
}
