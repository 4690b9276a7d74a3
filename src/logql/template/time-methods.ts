/** Methods of time.Time that templates can call. */
import { fromByteText, toByteText } from './byte-text.ts';
import { UTC } from './civil.ts';
import { formatLayout } from './go-layout.ts';
import { GoTime } from './go-time.ts';
import { type GoValue, TypedInt } from './values.ts';

const int64 = (value: bigint): TypedInt => new TypedInt(value, 'int64');
const int = (value: number): bigint => BigInt(value);
const floored = (ns: bigint, unit: bigint): bigint => (ns - (((ns % unit) + unit) % unit)) / unit;

const PLAIN: ReadonlyMap<string, (time: GoTime) => GoValue> = new Map<string, (time: GoTime) => GoValue>([
  ['Unix', (time) => int64(time.unixSeconds)],
  ['UnixMilli', (time) => int64(floored(time.ns, 1_000_000n))],
  ['UnixMicro', (time) => int64(floored(time.ns, 1_000n))],
  ['UnixNano', (time) => int64(time.ns)],
  ['Year', (time) => int(time.civil.year)],
  ['Month', (time) => time.month],
  ['Day', (time) => int(time.civil.day)],
  ['Weekday', (time) => time.dayOfWeek],
  ['YearDay', (time) => int(time.yearDay)],
  ['Hour', (time) => int(time.civil.hour)],
  ['Minute', (time) => int(time.civil.minute)],
  ['Second', (time) => int(time.civil.second)],
  ['Nanosecond', (time) => int(time.civil.nanosecond)],
  ['UTC', (time) => new GoTime(time.ns, UTC)],
  ['Local', (time) => new GoTime(time.ns, UTC)],
  ['String', (time) => toByteText(time.toString())],
  ['IsZero', (time) => time.ns === -62_135_596_800_000_000_000n],
]);

const COMPARING: ReadonlyMap<string, (left: GoTime, right: GoTime) => boolean> = new Map([
  ['After', (left: GoTime, right: GoTime) => left.ns > right.ns],
  ['Before', (left: GoTime, right: GoTime) => left.ns < right.ns],
  ['Equal', (left: GoTime, right: GoTime) => left.ns === right.ns],
]);

export const TIME_METHODS: ReadonlySet<string> = new Set([...PLAIN.keys(), ...COMPARING.keys(), 'Format']);

/** @param fail makes the error for a text */
export const callTimeMethod = (
  time: GoTime,
  name: string,
  args: readonly GoValue[],
  fail: (text: string) => Error,
): GoValue => {
  const plain = PLAIN.get(name);
  const wanted = plain === undefined ? 1 : 0;
  if (args.length !== wanted) throw fail(`wrong number of args for ${name}: want ${wanted} got ${args.length}`);
  if (plain !== undefined) return plain(time);
  const [arg] = args;
  if (name === 'Format' && typeof arg === 'string') return toByteText(formatLayout(time, fromByteText(arg)));
  if (arg instanceof GoTime) return COMPARING.get(name)!(time, arg);
  throw fail(`wrong type for value; expected ${name === 'Format' ? 'string' : 'time.Time'}`);
};
