/** Why a call of the membership store, or of `Membership`, failed. Callers switch on the code; the text is for people. */
export type MembershipRefusal =
  /** Not reached, or cannot answer. What was asked may have been done. */
  | { readonly code: 'UNAVAILABLE'; readonly text: string }
  /** As UNAVAILABLE, after the caller's time. */
  | { readonly code: 'DEADLINE_EXCEEDED'; readonly text: string }
  /** The lease has ended; its keys are gone. */
  | { readonly code: 'LEASE_GONE'; readonly text: string }
  /** Another disk runs under this nodeId; try again once its lease has ended. */
  | { readonly code: 'NODE_ID_IN_USE'; readonly text: string }
  /** The store is another cluster's, or was emptied since this disk joined. */
  | { readonly code: 'OTHER_CLUSTER'; readonly text: string }
  /** The cluster runs with another configuration. */
  | { readonly code: 'OTHER_CONFIG'; readonly text: string }
  /** What the caller asks for makes no sense now: not registered, or stopped. */
  | { readonly code: 'NOT_REGISTERED'; readonly text: string };

export class MembershipError extends Error {
  readonly refusal: MembershipRefusal;

  constructor(refusal: MembershipRefusal, options?: ErrorOptions) {
    super(refusal.text, options);
    this.name = 'MembershipError';
    this.refusal = refusal;
  }
}

/** Trying again may help, and whether the call was carried out is not known. */
export const isUnknownOutcome = (error: unknown): boolean =>
  error instanceof MembershipError &&
  (error.refusal.code === 'UNAVAILABLE' || error.refusal.code === 'DEADLINE_EXCEEDED');

/** An error of a driver or of a listener as text. */
export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
