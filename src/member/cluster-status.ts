import { segmentName } from '../chunk/memory-format.ts';
import { streamKey } from '../cluster/stream-key.ts';
import type { Peers } from '../cluster/transport/peers.ts';
import { type Member, missingDisks, WEIGHT_MAX } from '../cluster/view.ts';
import type { LabelMatcher } from '../protocol/matcher.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { CallKind } from './call-kinds.ts';
import type { ClusterMemory } from './cluster-memory.ts';
import type { ClusterServices, MemberFigures, RingStatus, StreamStatus } from './cluster-services.ts';
import type { ClusterMember } from './member.ts';
import { decodeStatus } from './status-message.ts';

export interface ClusterStatusDeps {
  readonly member: ClusterMember;
  readonly memory: ClusterMemory;
  readonly peers: Peers;
  readonly nodeId: string;
  readonly drain: () => void;
}

const STATUS_MS = 1_000;
/** Nodes after the owner that are shown. */
const NEXT = 2;

/** Answers operators, from what this member knows and from what the others tell. */
export class ClusterStatus implements ClusterServices {
  readonly #deps: ClusterStatusDeps;

  constructor(deps: ClusterStatusDeps) {
    this.#deps = deps;
  }

  async ring(): Promise<RingStatus> {
    const { view, ring } = this.#deps.member;
    const shares = ring.shares();
    const nodes = await Promise.all(
      view.members.map(async (member) => {
        const { nodeId, state, zone, weight, address, httpAddress, incarnation } = member;
        const place = ring.members.findIndex((one) => one.nodeId === nodeId);
        const figures = await this.#figuresOf(member);
        return {
          nodeId,
          state,
          zone,
          weight,
          address,
          httpAddress,
          incarnation,
          ownership: shares[place] ?? 0,
          figures,
        };
      }),
    );
    const missing = missingDisks(view).map(({ nodeId, diskId }) => ({ nodeId, diskId }));
    return { changedAt: view.changedAt, nodes, missing };
  }

  async streams(tenant: string, matchers: readonly LabelMatcher[]): Promise<readonly StreamStatus[]> {
    const { memory, member } = this.#deps;
    const streams = new Map<string, { key: number; segments: Map<string, string[]> }>();
    for (const { nodeId, held } of await memory.holders(tenant, matchers)) {
      for (const { labels, segments } of held) {
        const key = streamKey(tenant, labels.canonical);
        const known = streams.get(labels.canonical) ?? { key, segments: new Map<string, string[]>() };
        streams.set(labels.canonical, known);
        for (const { id } of segments) {
          const holders = known.segments.get(segmentName(id)) ?? [];
          holders.push(nodeId);
          known.segments.set(segmentName(id), holders);
        }
      }
    }
    return [...streams].map(([labels, { key, segments }]) => {
      const [owner, ...next] = member.ring.preference(key, 1 + NEXT).map(({ nodeId }) => nodeId);
      return { labels, owner, next, segments: [...segments].map(([segment, holders]) => ({ segment, holders })) };
    });
  }

  async setWeight(weight: number): Promise<void> {
    if (!Number.isInteger(weight) || weight < 1 || weight > WEIGHT_MAX) {
      throw new RefusedError({ code: 'BAD_REQUEST', text: `weight: want a whole number from 1 to ${WEIGHT_MAX}` });
    }
    await this.#deps.member.setWeight(weight);
  }

  drain(): void {
    this.#deps.drain();
  }

  async #figuresOf(member: Member): Promise<MemberFigures | undefined> {
    const { peers, nodeId } = this.#deps;
    if (member.nodeId === nodeId) return this.#deps.member.figures;
    try {
      return decodeStatus(
        await peers.request(member, CallKind.STATUS, [], { deadlineMs: STATUS_MS, class: 'control' }),
      );
    } catch {
      return undefined;
    }
  }
}
