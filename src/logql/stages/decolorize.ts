/** `| decolorize`: removes ANSI escape sequences (CSI and OSC, and the short ones) from the line. */
import type { Entry } from './entry.ts';
import type { CompiledStage } from './stage.ts';

/** The expression Loki's library uses, over bytes: U+009B is two of them. */
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is removed
  /(?:\x1B|\xC2\x9B)[[\]()#;?]*(?:(?:(?:[a-zA-Z\d]*(?:;[a-zA-Z\d]*)*)?\x07)|(?:(?:\d{1,4}(?:;\d{0,4})*)?[\dA-PRZcf-ntqry=><~]))/g;

const hasControl = (bytes: Buffer, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if (bytes[at] === 0x1b || bytes[at] === 0x9b) return true;
  return false;
};

const decolorize = (entry: Entry): boolean => {
  const { lineBytes, lineStart, lineEnd } = entry;
  if (!hasControl(lineBytes, lineStart, lineEnd)) return true;
  const text = lineBytes.toString('latin1', lineStart, lineEnd);
  entry.setLine(Buffer.from(text.replace(SEQUENCE, ''), 'latin1'));
  return true;
};

export const compileDecolorize = (): CompiledStage => ({ start: () => decolorize });
