import type { Ring } from '../cluster/ring.ts';
import { streamKey } from '../cluster/stream-key.ts';
import { PeerError, type Peers } from '../cluster/transport/peers.ts';
import type { Member } from '../cluster/view.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type GroupId, groupKey } from '../ruler/rule-group.ts';
import type { GroupStatus } from '../ruler/rule-status.ts';
import type { Ruler } from '../ruler/ruler.ts';
import { CallKind } from './call-kinds.ts';
import { decodeRulesAnswer, decodeRulesQuestion, encodeRulesAnswer, encodeRulesQuestion } from './rules-message.ts';

export interface ClusterRulesDeps {
  readonly peers: Peers;
  readonly nodeId: string;
  readonly ring: () => Ring;
}

const ANSWER_MS = 5_000;
const HINT_MS = 1_000;

/** Which member evaluates which group of rules, and what members tell each other of them. */
export class ClusterRules {
  readonly #deps: ClusterRulesDeps;
  #ruler: Pick<Ruler, 'statuses' | 'hint'> | undefined;

  constructor(deps: ClusterRulesDeps) {
    this.#deps = deps;
  }

  /** The node evaluates: from now on it tells others of it. */
  attach(ruler: Pick<Ruler, 'statuses' | 'hint'>): void {
    this.#ruler = ruler;
  }

  /** Of the members that evaluate rules the first one on the ring: those of earlier versions are passed over. */
  ownerOf(group: GroupId): Member | undefined {
    const key = streamKey(group.tenant, `rules ${groupKey(group)}`);
    return this.#deps.ring().firstOf(key, ({ evaluatesRules }) => evaluatesRules === true);
  }

  isHere(group: GroupId): boolean {
    return this.ownerOf(group)?.nodeId === this.#deps.nodeId;
  }

  /**
   * How the tenant's groups stand at all members that evaluate any.
   * @throws RefusedError STORAGE_UNAVAILABLE if one does not answer: what it evaluates would silently lack
   */
  async ask(tenant: string): Promise<readonly GroupStatus[]> {
    const { peers } = this.#deps;
    const here = this.#ruler?.statuses(tenant) ?? [];
    const there = await Promise.all(
      this.#others.map(async (member) => {
        const question = encodeRulesQuestion({ type: 'status', tenant });
        try {
          const options = { deadlineMs: ANSWER_MS, class: 'query' as const };
          return decodeRulesAnswer(await peers.request(member, CallKind.RULES, [question], options));
        } catch (error) {
          throw error instanceof PeerError ? unavailable(member, error) : error;
        }
      }),
    );
    return [...here, ...there.flat()];
  }

  /** A group was changed here: the others look soon. Who does not hear of it looks later. */
  hint(): void {
    this.#ruler?.hint();
    const { peers } = this.#deps;
    const question = encodeRulesQuestion({ type: 'changed' });
    for (const member of this.#others) {
      peers
        .request(member, CallKind.RULES, [question], { deadlineMs: HINT_MS, class: 'control' })
        .catch(() => undefined);
    }
  }

  /** @throws RefusedError BAD_REQUEST; STORAGE_UNAVAILABLE until the node runs */
  async answer(body: Uint8Array): Promise<readonly Uint8Array[]> {
    const question = decodeRulesQuestion(body);
    if (!this.#ruler) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'this node evaluates no rules' });
    if (question.type === 'status') return [encodeRulesAnswer(this.#ruler.statuses(question.tenant))];
    this.#ruler.hint();
    return [encodeRulesAnswer([])];
  }

  get #others(): readonly Member[] {
    const { ring, nodeId } = this.#deps;
    return ring().members.filter((member) => member.evaluatesRules === true && member.nodeId !== nodeId);
  }
}

const unavailable = ({ nodeId }: Member, cause: PeerError): RefusedError =>
  new RefusedError(
    {
      code: 'STORAGE_UNAVAILABLE',
      text: `member ${nodeId}, which may evaluate some of the rules, cannot be asked: ${cause.message}`,
    },
    { cause },
  );
