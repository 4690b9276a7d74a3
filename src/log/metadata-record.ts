/**
 * Structured metadata of a record's entries (the layout stands in append-record.ts): texts once, then their numbers by entry. Most entries
 * have a detected level and nothing else: those are numbers from end to end, and no texts are looked up for them.
 */
import { uvarintSize, VarintReader, writeUvarint } from '../chunk/varint.ts';
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { EntryMetadata } from '../protocol/entry-metadata.ts';
import { DETECTED_LEVEL, LEVEL_PAIRS, NO_LEVEL } from '../protocol/levels.ts';

/** Of entries [first, end), counted from `first`; undefined if none has any. */
export const encodeMetadata = (metadata: EntryMetadata, first: number, end: number): Uint8Array | undefined =>
  metadata.ownCount === 0 ? encodeLevels(metadata, first, end) : encodePairs(metadata, first, end);

const encodePairs = (metadata: EntryMetadata, first: number, end: number): Uint8Array | undefined => {
  const numbers = new Map<string, number>();
  const values: number[] = [];
  for (let index = first; index < end; index += 1) {
    const pairs = metadata.get(index);
    if (pairs === undefined) continue;
    values.push(index - first, pairs.length);
    for (const text of pairs) values.push(numberOf(numbers, text));
  }
  if (values.length === 0) return undefined;
  const texts = [...numbers.keys()].map(bytesOfText);
  const textsSize = texts.reduce((size, { length }) => size + uvarintSize(length) + length, uvarintSize(texts.length));
  const encoded = new Uint8Array(values.reduce((size, value) => size + uvarintSize(value), textsSize));
  let at = writeUvarint(encoded, 0, texts.length);
  for (const text of texts) {
    at = writeUvarint(encoded, at, text.length);
    encoded.set(text, at);
    at += text.length;
  }
  for (const value of values) at = writeUvarint(encoded, at, value);
  return encoded;
};

/** uvarint size, text; of the name and of each level. */
const sizedText = (text: string): Uint8Array => Uint8Array.of(text.length, ...Buffer.from(text));
const NAME = sizedText(DETECTED_LEVEL);
const LEVELS = LEVEL_PAIRS.map((pair) => (pair ? sizedText(pair[1]) : undefined));

/** Level → its number in the record that is being written; 0 = none yet. The name is number 0. */
const levelNumbers = new Uint8Array(LEVELS.length);

/** For entries that have a level at most: the same bytes, without a list of them first. Every number but the index takes one byte. */
const encodeLevels = (metadata: EntryMetadata, first: number, end: number): Uint8Array | undefined => {
  levelNumbers.fill(0);
  let texts = 1;
  let size = 1 + NAME.length;
  for (let index = first; index < end; index += 1) {
    const level = metadata.levelAt(index);
    if (level === NO_LEVEL) continue;
    size += uvarintSize(index - first) + 3;
    if (levelNumbers[level] !== 0) continue;
    levelNumbers[level] = texts;
    texts += 1;
    size += LEVELS[level]?.length ?? 0;
  }
  if (texts === 1) return undefined;
  const encoded = new Uint8Array(size);
  encoded[0] = texts;
  encoded.set(NAME, 1);
  let at = writeLevelTexts(encoded, 1 + NAME.length, texts);
  for (let index = first; index < end; index += 1) {
    const level = metadata.levelAt(index);
    if (level === NO_LEVEL) continue;
    at = writeUvarint(encoded, at, index - first);
    encoded[at] = 2;
    encoded[at + 1] = 0;
    encoded[at + 2] = levelNumbers[level] ?? 0;
    at += 3;
  }
  return encoded;
};

/** In the order of their numbers. @returns where they end */
const writeLevelTexts = (encoded: Uint8Array, start: number, texts: number): number => {
  let at = start;
  for (let number = 1; number < texts; number += 1) {
    const text = LEVELS[levelNumbers.indexOf(number)];
    if (text) encoded.set(text, at);
    at += text?.length ?? 0;
  }
  return at;
};

const numberOf = (numbers: Map<string, number>, text: string): number => {
  const known = numbers.get(text);
  if (known !== undefined) return known;
  numbers.set(text, numbers.size);
  return numbers.size - 1;
};

/** @param count of the record's entries */
export const decodeMetadata = (encoded: Uint8Array, count: number): EntryMetadata => {
  const reader = new VarintReader(encoded);
  const texts: string[] = [];
  for (let left = reader.uvarint(); left > 0; left -= 1) texts.push(textOfBytes(reader.take(reader.uvarint())));
  const levelOf = texts.map((text) => LEVEL_PAIRS.findIndex((pair) => pair?.[1] === text));
  const metadata = new EntryMetadata();
  while (!reader.isAtEnd) {
    const index = reader.uvarint();
    const size = reader.uvarint();
    const first = size > 0 ? reader.uvarint() : 0;
    const second = size > 1 ? reader.uvarint() : 0;
    const level = size === 2 && texts[first] === DETECTED_LEVEL ? (levelOf[second] ?? -1) : -1;
    if (level > NO_LEVEL) {
      metadata.setLevel(index, level, count);
      continue;
    }
    const pairs: string[] = [texts[first] ?? '', texts[second] ?? ''].slice(0, size);
    while (pairs.length < size) pairs.push(texts[reader.uvarint()] ?? '');
    metadata.set(index, pairs);
  }
  return metadata;
};
