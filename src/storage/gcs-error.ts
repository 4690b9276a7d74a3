import { CallError } from './retried-calls.ts';

/** Worth another try after a pause, says Cloud Storage's documentation of retries. */
const RETRYABLE_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);
const TEXT_LENGTH_MAX = 300;

/** Of a 403 that is about how much was asked, not by whom. */
const RATE_REASONS: ReadonlySet<unknown> = new Set(['rateLimitExceeded', 'userRateLimitExceeded']);

interface ApiFailure {
  readonly message?: string;
  readonly errors?: readonly { readonly reason?: string }[];
}

/** An answer that is no success. @param body JSON as the API has it, or plain text */
export const statusError = (status: number, body: string): CallError => failureOf(status, parsed(body));

/** What the client or the connection threw. Without an answer the request may be repeated: each of ours may have its effect twice. */
export const callErrorOf = (error: unknown): CallError => {
  if (error instanceof CallError) return error;
  const { code, message, errors } = error as { code?: unknown } & ApiFailure;
  const text = message ?? String(error);
  if (typeof code === 'number') return failureOf(code, { message: text, ...(errors && { errors }) }, error);
  return new CallError(shortened(text), true, undefined, { cause: error });
};

const failureOf = (status: number, { message = '', errors = [] }: ApiFailure, cause?: unknown): CallError => {
  const isRetryable = RETRYABLE_STATUSES.has(status) || errors.some(({ reason }) => RATE_REASONS.has(reason));
  return new CallError(`${status} ${shortened(message)}`.trim(), isRetryable, status, { cause });
};

const parsed = (body: string): ApiFailure => {
  try {
    return (JSON.parse(body) as { readonly error?: ApiFailure }).error ?? { message: body };
  } catch {
    return { message: body };
  }
};

/** The client puts every line it knows of into its messages. */
const shortened = (text: string): string => {
  const [line = ''] = text.split('\n');
  return line.length > TEXT_LENGTH_MAX ? `${line.slice(0, TEXT_LENGTH_MAX)}…` : line;
};
