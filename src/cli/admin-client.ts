import { CommandError } from './cli-error.ts';
import { baseUrl, type ServerOptions } from './loki-client.ts';

const ANSWER_TIMEOUT_MS = 30_000;

/** Asks a node about its cluster. Errors are CommandErrors with the server's own text. */
export const askAdmin = async (
  { addr, tenant }: ServerOptions,
  method: 'GET' | 'POST',
  path: string,
): Promise<string> => {
  const base = baseUrl(addr);
  let status: number;
  let text: string;
  const { request } = await import('undici');
  try {
    const response = await request(`${base}/ringlog/v1${path}`, {
      method,
      headers: tenant === undefined ? {} : { 'x-scope-orgid': tenant },
      headersTimeout: ANSWER_TIMEOUT_MS,
      bodyTimeout: ANSWER_TIMEOUT_MS,
    });
    status = response.statusCode;
    text = await response.body.text();
  } catch (error) {
    throw new CommandError(`cannot reach ${base}: ${(error as Error).message}`, { cause: error });
  }
  if (status < 200 || status > 299) throw new CommandError(`${status} from ${base}: ${text.trim()}`);
  return text;
};
