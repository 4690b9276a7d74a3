import type { EdgeOptions } from './edge-options.ts';
import { badRequest } from './parameters.ts';
import { type ByteBudget, readBody } from './request-body.ts';
import type { Exchange } from './routes.ts';

/** A query of 128 KiB, every byte percent-encoded, and room for the other parameters. */
const FORM_BYTES_MAX = 1024 * 1024;

/** URL and form parameters together; those of the form come first and so win. */
export const readForm = async (exchange: Exchange, budget: ByteBudget): Promise<URLSearchParams> => {
  const { request, search } = exchange;
  const type = request.headers['content-type'] ?? '';
  if (request.method !== 'POST' || !/^application\/x-www-form-urlencoded\s*(;|$)/i.test(type)) return search;
  const body = await readBody(request, FORM_BYTES_MAX, budget);
  try {
    const form = new URLSearchParams(body.bytes.toString('utf8'));
    for (const [name, value] of search) form.append(name, value);
    return form;
  } finally {
    body.release();
  }
};

export interface EdgeState {
  readonly options: EdgeOptions;
  readonly bodies: ByteBudget;
}

/** Flags of X-Loki-Response-Encoding-Flags as sent; the answer echoes them. */
export const encodingFlagsOf = (header: string | readonly string[] | undefined): readonly string[] =>
  String(header ?? '')
    .split(',')
    .map((flag) => flag.trim())
    .filter((flag) => flag !== '');

export const requireSingleTenant = (tenant: string): string => {
  if (tenant.includes('|')) throw badRequest('multiple org IDs present');
  return tenant;
};
