/** A Refusal as the fields of a FAILURE frame, and back. */
import { type Refusal, type RefusalCode, RefusedError } from '../../protocol/refusal.ts';
import { FRAME, type Frame, type OutgoingFrame } from './frame.ts';

/** Of a push that is blocked no node is asked. */
type SentCode = Exclude<RefusalCode, 'INGESTION_BLOCKED'>;

const CODES: Readonly<Record<SentCode, true>> = {
  BAD_REQUEST: true,
  INVALID_ENTRIES: true,
  TOO_LARGE: true,
  RATE_LIMITED: true,
  STREAM_LIMIT: true,
  NO_TENANT: true,
  EMPTY_PUSH: true,
  INVALID_QUERY: true,
  UNSUPPORTED_QUERY: true,
  DEADLINE_EXCEEDED: true,
  CANCELLED: true,
  OVERLOADED: true,
  STORAGE_UNAVAILABLE: true,
  INTERNAL: true,
};

/** Texts are for people: a stack of megabytes must not fill the link. */
const TEXT_LENGTH_MAX = 16 * 1024;

const isKnown = (code: string): code is SentCode => Object.hasOwn(CODES, code);

export const failureFrame = (seq: number, error: unknown): OutgoingFrame => {
  const refusal: Refusal =
    error instanceof RefusedError
      ? error.refusal
      : { code: 'INTERNAL', text: error instanceof Error ? error.message : String(error) };
  return {
    type: FRAME.failure,
    seq,
    code: refusal.code,
    text: refusal.text.slice(0, TEXT_LENGTH_MAX),
    retryAfterMs: 'retryAfterMs' in refusal ? Math.max(0, Math.ceil(refusal.retryAfterMs)) : 0,
  };
};

/** A code that this version does not know is INTERNAL; its text stays. */
export const refusalOf = ({ code, text, retryAfterMs }: Frame): Refusal => {
  if (!isKnown(code)) return { code: 'INTERNAL', text: `${code}: ${text}` };
  return code === 'RATE_LIMITED' || code === 'OVERLOADED' ? { code, text, retryAfterMs } : { code, text };
};
