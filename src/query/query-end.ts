/** Why a query ends before it has an answer, in Loki's words. */
import type { Refusal } from '../protocol/refusal.ts';

export const QUERY_DEADLINE: Refusal = {
  code: 'DEADLINE_EXCEEDED',
  text:
    'request timed out, decrease the duration of the request or add more label matchers ' +
    '(prefer exact match over regex match) to reduce the amount of data processed',
};

export const CANCELLED: Refusal = { code: 'CANCELLED', text: 'the request was cancelled by the client' };
