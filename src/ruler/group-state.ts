/** What the actor of a group does with its messages. Pure. */

export type GroupMessage =
  /** From its timer. */
  | { readonly type: 'due'; readonly atMs: number }
  /** The result of our own `evaluate`. */
  | { readonly type: 'evaluated' }
  /** From the ruler: the group has another text. */
  | { readonly type: 'changed' }
  /** From the ruler: it is evaluated elsewhere, or nowhere, from now on. */
  | { readonly type: 'stop' };

export interface GroupState {
  readonly phase: 'resting' | 'evaluating' | 'stopped';
  /** Another text came while it was evaluated. */
  readonly isChanged: boolean;
}

export type GroupEffect =
  | { readonly type: 'evaluate'; readonly atMs: number }
  /** Take the new text up. */
  | { readonly type: 'take' }
  /** Wait for the next time. */
  | { readonly type: 'rest' }
  /** End what is under way. */
  | { readonly type: 'end' };

export interface GroupStep {
  readonly state: GroupState;
  readonly effects: readonly GroupEffect[];
}

export const NEW_GROUP: GroupState = { phase: 'resting', isChanged: false };

export const stepGroup = (state: GroupState, message: GroupMessage): GroupStep => {
  if (state.phase === 'stopped') return { state, effects: [] };
  switch (message.type) {
    case 'due':
      if (state.phase === 'evaluating') return { state, effects: [] };
      return { state: { ...state, phase: 'evaluating' }, effects: [{ type: 'evaluate', atMs: message.atMs }] };
    case 'evaluated': {
      const effects: readonly GroupEffect[] = state.isChanged
        ? [{ type: 'take' }, { type: 'rest' }]
        : [{ type: 'rest' }];
      return { state: NEW_GROUP, effects };
    }
    case 'changed':
      if (state.phase === 'evaluating') return { state: { ...state, isChanged: true }, effects: [] };
      return { state, effects: [{ type: 'take' }, { type: 'rest' }] };
    case 'stop':
      return { state: { phase: 'stopped', isChanged: false }, effects: [{ type: 'end' }] };
  }
};
