import type { Refusal } from '../protocol/refusal.ts';
import type { DiscardedLines } from './node-services.ts';
import type { AppendRefusal } from './stream-state.ts';

/**
 * Which code stands for all refusals of a push: one that makes the client try again wins, since what was stored is known as a duplicate
 * then, and what was not gets another chance. Loki reports the last stream's outcome only, and so loses the others without a word.
 */
const DOMINANCE: readonly AppendRefusal['code'][] = [
  'INTERNAL',
  'NOT_LOGGED',
  'RATE_LIMITED',
  'STREAM_LIMIT',
  'INVALID_ENTRIES',
];

/** Characters of the text; chosen: clients log it. */
const TEXT_MAX = 64 * 1024;

const RETRY_AFTER_MS = 1000;

/**
 * One refusal for all of a push, their texts joined; undefined if there is none. `invalid`: what was refused before it came to the
 * streams.
 */
export const joinRefusals = (
  ofStreams: readonly Pick<AppendRefusal, 'code' | 'text'>[],
  invalid: Refusal | undefined,
): Refusal | undefined => {
  const code = DOMINANCE.find((candidate) => ofStreams.some((refusal) => refusal.code === candidate));
  if (!code) return invalid;
  const texts = new Set(ofStreams.map((refusal) => refusal.text));
  if (invalid) texts.add(invalid.text);
  const text = [...texts].join('; ').slice(0, TEXT_MAX);
  if (code === 'NOT_LOGGED') return { code: 'OVERLOADED', text, retryAfterMs: RETRY_AFTER_MS };
  return code === 'RATE_LIMITED' ? { code, text, retryAfterMs: RETRY_AFTER_MS } : { code, text };
};

/** One that is about the rate and about late lines counts for the rate. */
export const discardedBy = ({ code, lines }: AppendRefusal, isOrdered: boolean): DiscardedLines => {
  if (code === 'INVALID_ENTRIES') return { reason: isOrdered ? 'out_of_order' : 'too_far_behind', lines };
  return { reason: STREAM_REASONS[code], lines };
};

const STREAM_REASONS = {
  RATE_LIMITED: 'per_stream_rate_limit',
  STREAM_LIMIT: 'stream_limit',
  NOT_LOGGED: 'not_logged',
  INTERNAL: 'internal',
} as const;
