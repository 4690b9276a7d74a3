import type { Agent } from 'undici';

/** Where a client asks: a process of its own, or a member of a cluster. */
export interface ServedNode {
  /** undefined while it takes nothing. */
  readonly url: string | undefined;
  readonly agent: Agent;
}
