import { CallError } from './retried-calls.ts';

/** Worth another try after a pause, says Cloud Storage's documentation of retries. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const TEXT_LENGTH_MAX = 300;

/** An answer that is no success. @param body JSON as the API has it, or plain text */
export const statusError = (status: number, body: string, cause?: unknown): CallError => {
  const text = `${status} ${shortened(messageIn(body))}`.trim();
  return new CallError(text, RETRYABLE_STATUSES.has(status), status, { cause });
};

/** What the client or the connection threw. Without an answer the request may be repeated: each of ours may have its effect twice. */
export const callErrorOf = (error: unknown): CallError => {
  if (error instanceof CallError) return error;
  const { code, message } = error as { code?: unknown; message?: unknown };
  const text = typeof message === 'string' ? message : String(error);
  if (typeof code === 'number') return statusError(code, text, error);
  return new CallError(shortened(text), true, undefined, { cause: error });
};

const messageIn = (body: string): string => {
  try {
    const parsed = JSON.parse(body) as { error?: { message?: string } };
    return parsed.error?.message ?? body;
  } catch {
    return body;
  }
};

/** The client puts every line it knows of into its messages. */
const shortened = (text: string): string => {
  const [line = ''] = text.split('\n');
  return line.length > TEXT_LENGTH_MAX ? `${line.slice(0, TEXT_LENGTH_MAX)}…` : line;
};
