/** Templates run for every line and cannot be trusted: texts and steps are bounded. */
import { TemplateError } from './values.ts';

/** Longest text a template can make; chosen well above the longest line Loki takes (256 KB). */
export const TEXT_BYTES_MAX = 2 * 1024 * 1024;

/** Nodes and calls of one execution; chosen: milliseconds. */
export const STEPS_MAX = 100_000;

export const DEPTH_MAX = 500;

export const checkSize = (bytes: number): void => {
  if (bytes > TEXT_BYTES_MAX) throw new TemplateError('result is too long');
};
