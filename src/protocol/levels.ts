/** Log levels as Loki 3.7 names them in `detected_level` (the API specification, 1.10), as numbers that fit into a byte. */

export const DETECTED_LEVEL = 'detected_level';

/** What a level of a label, of metadata or of a line may be called, in any case; the first of each is what is stored. */
const NAMES: readonly (readonly string[])[] = [
  ['unknown'],
  ['trace', 'trc'],
  ['debug', 'dbg'],
  ['info', 'inf', 'information'],
  ['warn', 'wrn', 'warning'],
  ['error', 'err'],
  ['critical'],
  ['fatal'],
];

/** 0 stands for no level at all. */
export const NO_LEVEL = 0;
export const UNKNOWN_LEVEL = 1;
const INFO_LEVEL = 4;

/** Level → the pair of structured metadata that says it. One array for all entries of a level. */
export const LEVEL_PAIRS: readonly (readonly [string, string] | undefined)[] = [
  undefined,
  ...NAMES.map(([name]): [string, string] => [DETECTED_LEVEL, name as string]),
];

const levels = new Map(NAMES.flatMap((names, index) => names.map((name): [string, number] => [name, index + 1])));

/** The level that `text` names in any case; NO_LEVEL if it names none. */
export const levelNamed = (text: string): number =>
  text.length > 11 ? NO_LEVEL : (levels.get(text) ?? levels.get(text.toLowerCase()) ?? NO_LEVEL);

/** As it is stored: a level's own name, or the text if it names none. */
export const storedLevel = (text: string): string => LEVEL_PAIRS[levelNamed(text)]?.[1] ?? text;

/** OpenTelemetry's severity number: four to a level, from trace on. Text that is no number is info. */
export const levelOfSeverity = (text: string): number => {
  if (!/^[+-]?\d+$/.test(text)) return INFO_LEVEL;
  const number = Number(text);
  if (number < 1 || number > 24) return UNKNOWN_LEVEL;
  return SEVERITIES[Math.ceil(number / 4) - 1] as number;
};

const SEVERITIES = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map(levelNamed);

const word = (text: string): { readonly bytes: Uint8Array; readonly level: number } => ({
  bytes: Buffer.from(text),
  level: levelNamed(text),
});

/** Those that a value of a line may be: `unknown` says nothing. */
const VALUES = [...levels.keys()].filter((text) => text !== 'unknown').map(word);

/** The level that bytes [start, end) name in any case; NO_LEVEL if they name none. */
export const levelOfBytes = (bytes: Uint8Array, start: number, end: number): number => {
  for (const { bytes: name, level } of VALUES) {
    if (name.length === end - start && isWordAt(bytes, start, name)) return level;
  }
  return NO_LEVEL;
};

/** True if the ASCII letters at `at` are those of `lower`, in any case. They must lie in the bytes. */
export const isWordAt = (bytes: Uint8Array, at: number, lower: Uint8Array): boolean => {
  for (let index = 0; index < lower.length; index += 1) {
    const byte = bytes[at + index]!;
    if (byte !== lower[index] && (byte | 0x20) !== lower[index]) return false;
  }
  return true;
};
