import { expect } from 'chai';
import type { StreamAppend } from '../../../src/actors/append-router.ts';
import type { AppendOutcome } from '../../../src/actors/stream-state.ts';
import { Ring } from '../../../src/cluster/ring.ts';
import { PeerError, type Peers } from '../../../src/cluster/transport/peers.ts';
import type { Member } from '../../../src/cluster/view.ts';
import { decodeAppendRequest, encodeAppendReply } from '../../../src/member/append-message.ts';
import { AppendRouting } from '../../../src/member/append-routing.ts';
import { type Refusal, RefusedError } from '../../../src/protocol/refusal.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { entryAt, rangeOf } from '../../support/entries.ts';

const memberOf = (nodeId: string): Member => ({
  nodeId,
  incarnation: 1,
  address: '',
  httpAddress: '',
  zone: '',
  weight: 1,
  state: 'ACTIVE',
  diskId: nodeId,
  protocol: { min: 1, max: 1 },
});
const RING = new Ring({ members: ['a', 'b', 'c'].map(memberOf) }, 64);
const TAKEN: AppendOutcome = { acceptedLines: 1, acceptedBytes: 1, refusal: undefined };
const NOT_LOGGED: AppendOutcome = {
  acceptedLines: 0,
  acceptedBytes: 0,
  refusal: { code: 'NOT_LOGGED', text: 'the disk failed', lines: 1, bytes: 1 },
};
const ELSEWHERE: Refusal = { code: 'STORAGE_UNAVAILABLE', text: 'this node takes no entries now' };
const OVERLOADED: Refusal = { code: 'OVERLOADED', text: 'too much to do', retryAfterMs: 1000 };

/** One append for each owner. */
const APPENDS: readonly StreamAppend[] = RING.members.map(({ nodeId }, index) => {
  let key = 0;
  while (RING.owner(key)?.nodeId !== nodeId) key += 1_000_003;
  return { canonical: `{app="${nodeId}"}`, key, ranges: [rangeOf([entryAt(index, 'x')])] };
});

type Answer = AppendOutcome | Refusal | Promise<AppendOutcome>;

/** Node `a`, and what each node says to a stream. */
const routingOf = (answers: Readonly<Record<string, Answer>>) => {
  const offered: string[] = [];
  const answerOf = async (nodeId: string, streams: number): Promise<readonly AppendOutcome[]> => {
    offered.push(nodeId);
    const answer = await (answers[nodeId] ?? TAKEN);
    if ('code' in answer) throw new RefusedError(answer);
    return Array.from({ length: streams }, () => answer);
  };
  const peers: Peers = {
    close: async () => undefined,
    stream: () => {
      throw new Error('nobody asks');
    },
    request: async ({ nodeId }, _kind, [body]) => {
      const { streams } = decodeAppendRequest(body as Uint8Array);
      const outcomes = await answerOf(nodeId, streams.length).catch((error: RefusedError) => {
        throw new PeerError('REFUSED', error.message, { refusal: error.refusal });
      });
      return encodeAppendReply({ changedAt: 1, outcomes });
    },
  };
  const routing = new AppendRouting({
    clock: systemClock,
    peers,
    ring: () => RING,
    ringDigest: () => 1,
    changedAt: () => 1,
    nodeId: 'a',
    fence: () => undefined,
    appendHere: (_tenant, appends) => answerOf('a', appends.length),
    look: () => undefined,
    sawView: () => undefined,
  });
  return { routing, offered };
};

const linesOf = (outcomes: readonly AppendOutcome[]): number =>
  outcomes.reduce((lines, { acceptedLines }) => lines + acceptedLines, 0);

describe('AppendRouting', () => {
  for (const nodeId of ['a', 'b']) {
    const who = nodeId === 'a' ? 'this node' : 'another node';
    it(`goes to the next where ${who} takes nothing`, async () => {
      const { routing, offered } = routingOf({ [nodeId]: ELSEWHERE });
      expect(linesOf(await routing.append('t', APPENDS))).to.equal(3);
      expect(offered).to.have.lengthOf(4);
    });

    it(`goes to the next where the log of ${who} fails`, async () => {
      const { routing, offered } = routingOf({ [nodeId]: NOT_LOGGED });
      expect(linesOf(await routing.append('t', APPENDS))).to.equal(3);
      expect(offered).to.have.lengthOf(4);
    });
  }

  it('asks no other where one has too much to do', async () => {
    const { routing, offered } = routingOf({ b: OVERLOADED });
    const outcomes = await routing.append('t', APPENDS);
    expect(linesOf(outcomes)).to.equal(2);
    expect(outcomes.flatMap(({ refusal }) => refusal?.text ?? [])).to.deep.equal(['too much to do']);
    expect(offered.sort()).to.deep.equal(['a', 'b', 'c']);
  });

  it('says why where nobody takes it', async () => {
    const { routing } = routingOf({ a: ELSEWHERE, b: ELSEWHERE, c: NOT_LOGGED });
    const outcomes = await routing.append('t', APPENDS);
    expect(outcomes.map(({ refusal }) => refusal?.code)).to.deep.equal(['NOT_LOGGED', 'NOT_LOGGED', 'NOT_LOGGED']);
    expect(outcomes[0]?.refusal?.text).to.contain('no node of the cluster took the entries, try again later: ');
  });

  it('answers once no part borrows the entries any more, whatever another part failed with', async () => {
    let finish: (outcome: AppendOutcome) => void = () => undefined;
    const slow = new Promise<AppendOutcome>((resolve) => {
      finish = resolve;
    });
    const { routing } = routingOf({ a: { code: 'INTERNAL', text: 'broken' }, b: slow });
    let isOver = false;
    const all = routing.append('t', APPENDS).catch(() => undefined);
    void all.then(() => {
      isOver = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(isOver).to.equal(false);
    finish(TAKEN);
    await all;
  });
});
