/**
 * What a query actor does. Pure.
 *
 *   queued ──admitted──▶ producing ──event──▶ holding (no credit) ──pull──▶ producing … ──done | failed──▶ ended
 *      └──────────────── cancel, deadline, failure: one `failed` ───────────────────────────────────────▶ ended
 *
 * It reads one event ahead, so that work goes on while the reader looks at the last one, and no further.
 */
import type { Refusal } from '../protocol/refusal.ts';
import type { QueryCommand, QueryEvent } from '../query/query-messages.ts';

export type QueryActorMessage =
  | QueryCommand
  /** Its tenant's turn has come. */
  | { readonly type: 'admitted' }
  /** The engine's next event; undefined if it ended without `done`. */
  | { readonly type: 'produced'; readonly event: QueryEvent | undefined }
  /** The engine threw, or the gate refused. */
  | { readonly type: 'broken'; readonly refusal: Refusal }
  | { readonly type: 'deadline' };

export type QueryEffect =
  | { readonly type: 'produce' }
  | { readonly type: 'deliver'; readonly event: QueryEvent }
  /** Stop the engine, leave the gate, stop the actor. */
  | { readonly type: 'end' };

export type QueryState =
  | { readonly phase: 'queued'; readonly credits: number }
  | { readonly phase: 'producing'; readonly credits: number }
  | { readonly phase: 'holding'; readonly event: QueryEvent }
  | { readonly phase: 'ended' };

export interface QueryStep {
  readonly state: QueryState;
  readonly effects: readonly QueryEffect[];
}

const CREDITS_MAX = 1024;

const TIMED_OUT =
  'request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed';

export const newQueryState = (): QueryState => ({ phase: 'queued', credits: 0 });

export const stepQuery = (state: QueryState, message: QueryActorMessage): QueryStep => {
  if (state.phase === 'ended') return { state, effects: [] };
  switch (message.type) {
    case 'admitted':
      return state.phase === 'queued'
        ? { state: { phase: 'producing', credits: state.credits }, effects: [{ type: 'produce' }] }
        : { state, effects: [] };
    case 'pull':
      return pull(state, message.credits);
    case 'produced':
      return state.phase === 'producing' ? produced(state.credits, message.event) : { state, effects: [] };
    case 'broken':
      return fail(message.refusal);
    case 'cancel':
      return fail({ code: 'CANCELLED', text: 'the request was cancelled by the client' });
    case 'deadline':
      return fail({ code: 'DEADLINE_EXCEEDED', text: TIMED_OUT });
  }
};

const pull = (state: Exclude<QueryState, { phase: 'ended' }>, asked: number): QueryStep => {
  if (!(asked > 0)) return { state, effects: [] };
  if (state.phase !== 'holding') {
    return { state: { ...state, credits: Math.min(CREDITS_MAX, state.credits + asked) }, effects: [] };
  }
  return {
    state: { phase: 'producing', credits: Math.min(CREDITS_MAX, asked) - 1 },
    effects: [{ type: 'deliver', event: state.event }, { type: 'produce' }],
  };
};

const produced = (credits: number, event: QueryEvent | undefined): QueryStep => {
  if (!event) return fail({ code: 'INTERNAL', text: 'the query ended without an answer' });
  if (event.type === 'done' || event.type === 'failed') {
    return { state: { phase: 'ended' }, effects: [{ type: 'deliver', event }, { type: 'end' }] };
  }
  if (credits < 1) return { state: { phase: 'holding', event }, effects: [] };
  return {
    state: { phase: 'producing', credits: credits - 1 },
    effects: [{ type: 'deliver', event }, { type: 'produce' }],
  };
};

const fail = (refusal: Refusal): QueryStep => ({
  state: { phase: 'ended' },
  effects: [{ type: 'deliver', event: { type: 'failed', refusal } }, { type: 'end' }],
});
