/** Templates run for every line and cannot be trusted: texts and steps are bounded. */
import { type GoValue, isList, TemplateError } from './values.ts';

/** Longest text a template can make; chosen well above the longest line Loki takes (256 KB). */
export const TEXT_BYTES_MAX = 2 * 1024 * 1024;

/** Nodes and calls of one execution; chosen: milliseconds. */
export const STEPS_MAX = 100_000;

/** Bytes that the functions of one execution take and give together; chosen: dozens of passes over the longest line, and some 10 ms. */
export const WORK_BYTES_MAX = 16 * 1024 * 1024;

export const DEPTH_MAX = 500;

export const checkSize = (bytes: number): void => {
  if (bytes > TEXT_BYTES_MAX) throw new TemplateError('result is too long');
};

const ITEM_BYTES = 8;

const bytesOf = (value: GoValue): number => {
  if (typeof value === 'string') return value.length;
  return isList(value) ? value.length * ITEM_BYTES : 0;
};

/** What a call took and gave, in bytes. What lies in a list was counted when it was made. */
export const workOf = (args: readonly GoValue[], result: GoValue): number => {
  let bytes = bytesOf(result);
  for (const arg of args) bytes += bytesOf(arg);
  return bytes;
};
