import { UsageError } from './cli-error.ts';
import type { Labels } from './loki-client.ts';

/** `{app="web", env="dev"}` sorted by name. */
export const formatLabels = (labels: Labels): string =>
  `{${Object.keys(labels)
    .sort()
    .map((name) => `${name}=${JSON.stringify(labels[name])}`)
    .join(', ')}}`;

/** What every stream has in common, and what is left of each. */
export const commonLabels = (sets: readonly Labels[]): Labels => {
  const [first, ...others] = sets;
  const common: Record<string, string> = {};
  for (const [name, value] of Object.entries(first ?? {})) {
    if (others.every((labels) => labels[name] === value)) common[name] = value;
  }
  return common;
};

export const withoutLabels = (labels: Labels, left: Labels): Labels =>
  Object.fromEntries(Object.entries(labels).filter(([name]) => !(name in left)));

/** `{app="x"}` as it is, or key=value pairs put together. */
export const parseLabelOptions = (texts: readonly string[]): string => {
  const pairs: string[] = [];
  for (const text of texts) {
    const inner = /^\s*\{(.*)\}\s*$/s.exec(text)?.[1];
    if (inner !== undefined) {
      if (inner.trim() !== '') pairs.push(inner.trim().replace(/,$/, ''));
      continue;
    }
    const pair = /^\s*([a-zA-Z_][a-zA-Z0-9_]*)=(.*)$/s.exec(text);
    if (!pair) throw new UsageError(`--labels: ${JSON.stringify(text)} is neither {name="value"} nor name=value`);
    if (/,\s*[a-zA-Z_][a-zA-Z0-9_]*=/.test(pair[2] ?? '')) throw severalPairs(text);
    pairs.push(`${pair[1]}=${JSON.stringify(pair[2])}`);
  }
  if (pairs.length === 0) throw new UsageError('--labels: a stream needs at least one label');
  return `{${pairs.join(', ')}}`;
};

/** A value with `,name=` in it is far more often two labels than one. */
const severalPairs = (text: string): UsageError =>
  new UsageError(
    `--labels: ${JSON.stringify(text)} looks like several labels: repeat the option (--labels app=a --labels env=b) or write ` +
      `'{app="a", env="b"}'; a value with a comma needs the second form`,
  );
