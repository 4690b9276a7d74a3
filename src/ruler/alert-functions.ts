/** What templates of labels and annotations can call: Go's own functions and those that Prometheus adds, but the ones that need `query`. */
import { parseDuration } from '../logql/durations.ts';
import { parseGoFloat } from '../logql/stages/go-number.ts';
import { BUILTINS } from '../logql/template/builtins.ts';
import { fromByteText, toByteText } from '../logql/template/byte-text.ts';
import { LAZY_FUNCTIONS } from '../logql/template/functions.ts';
import { STRING_FUNCTIONS } from '../logql/template/functions-strings.ts';
import { formatGeneral } from '../logql/template/go-float.ts';
import { GoTime } from '../logql/template/go-time.ts';
import type { TemplateFunction } from '../logql/template/template-function.ts';
import { GoMap, type GoValue, intOf, TemplateError, typeName } from '../logql/template/values.ts';

const UP = ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
const UP_1024 = ['ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi'];
const DOWN = ['m', 'u', 'n', 'p', 'f', 'a', 'z', 'y'];
const NS_PER_SECOND = 1e9;
const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Numbers, and texts that are numbers. */
const floatOf = (value: GoValue): number => {
  if (typeof value === 'number') return value;
  const int = intOf(value);
  if (int !== undefined) return Number(int);
  if (typeof value !== 'string') throw new TemplateError(`can't convert ${typeName(value)} to float`);
  const parsed = parseGoFloat(fromByteText(value));
  if ('value' in parsed) return parsed.value;
  throw new TemplateError(`strconv.ParseFloat: parsing "${value}": invalid syntax`);
};

/** `%.4g` */
const short = (value: number): string => formatGeneral(value, 4);

const scaledUp = (value: number, by: number, prefixes: readonly string[]): string => {
  let scaled = value;
  let prefix = '';
  for (const next of prefixes) {
    if (Math.abs(scaled) < by) break;
    prefix = next;
    scaled /= by;
  }
  return short(scaled) + prefix;
};

const scaledDown = (value: number): string => {
  let scaled = value;
  let prefix = '';
  for (const next of DOWN) {
    if (Math.abs(scaled) >= 1) break;
    prefix = next;
    scaled *= 1000;
  }
  return short(scaled) + prefix;
};

const humanize = (value: number): string => {
  if (value === 0 || !Number.isFinite(value)) return short(value);
  return Math.abs(value) >= 1 ? scaledUp(value, 1000, UP) : scaledDown(value);
};

const humanize1024 = (value: number): string =>
  Math.abs(value) <= 1 || !Number.isFinite(value) ? short(value) : scaledUp(value, 1024, UP_1024);

const humanizeDuration = (value: number): string => {
  if (!Number.isFinite(value)) return short(value);
  if (value === 0) return '0s';
  if (Math.abs(value) < 1) return `${scaledDown(value)}s`;
  const sign = value < 0 ? '-' : '';
  const size = Math.abs(value);
  const whole = Math.trunc(size);
  const [days, hours, minutes] = [
    Math.floor(whole / DAY),
    Math.floor(whole / HOUR) % 24,
    Math.floor(whole / MINUTE) % 60,
  ];
  const seconds = whole % MINUTE;
  if (days > 0) return `${sign}${days}d ${hours}h ${minutes}m ${seconds}s`;
  if (hours > 0) return `${sign}${hours}h ${minutes}m ${seconds}s`;
  if (minutes > 0) return `${sign}${minutes}m ${seconds}s`;
  return `${sign}${short(size)}s`;
};

const timeOf = (value: number): GoTime => new GoTime(BigInt(Math.round(value * NS_PER_SECOND)));

const humanizeTimestamp = (value: number): string => (Number.isFinite(value) ? timeOf(value).toString() : short(value));

const ofNumber = (change: (value: number) => GoValue): TemplateFunction => ({
  parameters: ['any'],
  call: (value: GoValue) => change(floatOf(value)),
});

const stringFunction = (name: string): ((...texts: readonly string[]) => GoValue) => {
  const known = STRING_FUNCTIONS[name];
  if (!known) throw new Error(`templates have no function ${name}`);
  return known.call as (...texts: readonly string[]) => GoValue;
};

const ofText = (name: string): TemplateFunction => {
  const call = stringFunction(name);
  return { parameters: ['string'], call: (text: string) => call(text) };
};

const replaceAll = stringFunction('regexReplaceAll');
const countMatches = stringFunction('count');

/** `host:port` → `host`, `[::1]:80` → `::1`; what is none of these stays. */
const stripPort = (hostPort: string): string =>
  /^\[([^\]]*)\]:[^:]*$/.exec(hostPort)?.[1] ?? hostPort.replace(/^([^:[\]]*):[^:]*$/, '$1');

/** `web-1.example.org:80` → `web-1:80`; an address stays. */
const stripDomain = (hostPort: string): string => {
  const host = stripPort(hostPort);
  const port = hostPort.slice(hostPort.lastIndexOf(':') + 1);
  const isAddress = /^[0-9.]+$/.test(host) || host.includes(':');
  if (isAddress) return hostPort;
  const short = host.split('.')[0] ?? '';
  return host === hostPort ? short : `${short}:${port}`;
};

const seconds = (text: string): number => {
  const ns = parseDuration(fromByteText(text));
  if (ns === undefined) throw new TemplateError(`not a valid duration string: "${text}"`);
  return Number(ns) / NS_PER_SECOND;
};

const withPath =
  (path: string, tab: number) =>
  (expr: string): string =>
    toByteText(`${path}?g0.expr=${encodeURIComponent(fromByteText(expr))}&g0.tab=${tab}`);

const FIXED: Readonly<Record<string, TemplateFunction>> = {
  humanize: ofNumber(humanize),
  humanize1024: ofNumber(humanize1024),
  humanizeDuration: ofNumber(humanizeDuration),
  humanizePercentage: ofNumber((value) => `${short(value * 100)}%`),
  humanizeTimestamp: ofNumber(humanizeTimestamp),
  toTime: ofNumber(timeOf),
  title: ofText('title'),
  toUpper: ofText('ToUpper'),
  toLower: ofText('ToLower'),
  match: {
    parameters: ['string', 'string'],
    call: (pattern: string, text: string) => countMatches(pattern, text) !== 0n,
  },
  reReplaceAll: {
    parameters: ['string', 'string', 'string'],
    call: (pattern: string, fresh: string, text: string) => replaceAll(pattern, text, fresh),
  },
  safeHtml: { parameters: ['string'], call: (text: string) => text },
  stripPort: { parameters: ['string'], call: stripPort },
  stripDomain: { parameters: ['string'], call: stripDomain },
  parseDuration: { parameters: ['string'], call: seconds },
  graphLink: { parameters: ['string'], call: withPath('/graph', 0) },
  tableLink: { parameters: ['string'], call: withPath('/graph', 1) },
  args: {
    parameters: [],
    rest: 'any',
    call: (...values: readonly GoValue[]) =>
      new GoMap(() => new Map(values.map((value, index) => [`arg${index}`, value])), false),
  },
};

/** @param externalUrl of the node; may be empty */
const ofUrl = (externalUrl: string): Readonly<Record<string, TemplateFunction>> => ({
  externalURL: { parameters: [], call: () => toByteText(externalUrl) },
  pathPrefix: { parameters: [], call: () => toByteText(pathOf(externalUrl)) },
});

const pathOf = (url: string): string => url.replace(/^[a-z]+:\/\/[^/?#]*/i, '').replace(/[?#].*$/, '');

const { default: _lokis, ...GO_FUNCTIONS } = BUILTINS;

export const alertFunctions = (externalUrl: string): ReadonlyMap<string, TemplateFunction> =>
  new Map(Object.entries({ ...GO_FUNCTIONS, ...FIXED, ...ofUrl(externalUrl) }));

export const ALERT_FUNCTION_NAMES: ReadonlySet<string> = new Set([...alertFunctions('').keys(), ...LAZY_FUNCTIONS]);
