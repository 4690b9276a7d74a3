/** What members ask each other about rules, as JSON: asked by people, seldom; fields may be added, and what is not known is passed over. */

import { badRequest } from '../protocol/wire.ts';
import type { GroupStatus } from '../ruler/rule-status.ts';

export type RulesQuestion =
  /** How do the tenant's groups stand that run at yours? */
  | { readonly type: 'status'; readonly tenant: string }
  /** Look at the store: somebody changed a group. */
  | { readonly type: 'changed' };

export const encodeRulesQuestion = (question: RulesQuestion): Uint8Array => Buffer.from(JSON.stringify(question));

/** @throws RefusedError BAD_REQUEST */
export const decodeRulesQuestion = (bytes: Uint8Array): RulesQuestion => {
  const { type, tenant } = JSON.parse(Buffer.from(bytes).toString()) as { type?: unknown; tenant?: unknown };
  if (type === 'changed') return { type };
  if (type === 'status' && typeof tenant === 'string') return { type, tenant };
  throw badRequest('this node does not know such a question about rules');
};

export const encodeRulesAnswer = (statuses: readonly GroupStatus[]): Uint8Array =>
  Buffer.from(JSON.stringify(statuses));

export const decodeRulesAnswer = (bytes: Uint8Array): readonly GroupStatus[] =>
  JSON.parse(Buffer.from(bytes).toString()) as GroupStatus[];
