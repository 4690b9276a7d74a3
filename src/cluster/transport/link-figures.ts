import { CALL_CLASSES, type CallClass, type PeerErrorCode } from './peers.ts';

export interface Traffic {
  framesOut: number;
  bytesOut: number;
  framesIn: number;
  bytesIn: number;
}

/** Counters of one node's links; they only grow. Bytes are those of bodies. */
export interface LinkFigures {
  readonly traffic: Readonly<Record<CallClass, Traffic>>;
  /** Asked of others, by outcome. */
  readonly requests: Record<'ANSWERED' | PeerErrorCode, number>;
  /** Asked by others. */
  handled: number;
  linksOpened: number;
  linksAccepted: number;
  linksRefused: number;
  /** Ended otherwise than by both sides' agreement. */
  linksBroken: number;
  /** Of those: nothing was heard for too long. */
  linksSilent: number;
  /** Links opened to a peer that had one before. */
  reconnects: number;
  connectFailures: number;
}

const noTraffic = (): Traffic => ({ framesOut: 0, bytesOut: 0, framesIn: 0, bytesIn: 0 });

export const noFigures = (): LinkFigures => ({
  traffic: Object.fromEntries(CALL_CLASSES.map((name) => [name, noTraffic()])) as Record<CallClass, Traffic>,
  requests: { ANSWERED: 0, UNREACHABLE: 0, UNKNOWN: 0, REFUSED: 0, OVERLOADED: 0 },
  handled: 0,
  linksOpened: 0,
  linksAccepted: 0,
  linksRefused: 0,
  linksBroken: 0,
  linksSilent: 0,
  reconnects: 0,
  connectFailures: 0,
});
