import { tokensOf, VIRTUAL_NODES } from './tokens.ts';
import type { Member, View } from './view.ts';

/** Members of a ring: the index of one shares a double with its token, and an array of 16-bit numbers holds it. */
const MEMBERS_MAX = 2 ** 16;

/**
 * Who should write which stream: the tokens of all ACTIVE members in order. Immutable, and a pure function of the view's members, whatever
 * order they come in.
 *
 *   tokens   t0 < t1 < … < tn      a key belongs to the first token at or above it, past the last one to t0
 *   owners   m0   m1   …   mn      index of the member
 */
export class Ring {
  readonly members: readonly Member[];
  readonly #tokens: Uint32Array;
  readonly #owners: Uint16Array;
  /** Index of the zone of each member. */
  readonly #zones: Uint16Array;
  readonly #zoneCount: number;

  /** @param virtualNodes of a member of weight 1; all nodes of a cluster must use the same */
  constructor({ members }: Pick<View, 'members'>, virtualNodes = VIRTUAL_NODES) {
    // Two members can collide on a token; the later one has it, and a fixed order makes it the same one on every node.
    this.members = members.filter(({ state }) => state === 'ACTIVE').sort(byNodeId);
    if (this.members.length > MEMBERS_MAX) throw new RangeError(`a ring of ${this.members.length} members`);
    const merged = mergedOnce(this.members, virtualNodes);
    this.#tokens = merged.tokens;
    this.#owners = merged.owners;
    const zones = [...new Set(this.members.map(({ zone }) => zone))];
    this.#zoneCount = zones.length;
    this.#zones = Uint16Array.from(this.members, ({ zone }) => zones.indexOf(zone));
  }

  /** @param key 32 bits, of `streamKey`. undefined if no member is ACTIVE */
  owner(key: number): Member | undefined {
    return this.members[this.#owners[this.#indexOf(key)] ?? MEMBERS_MAX];
  }

  /**
   * The nodes for a key, best first: clockwise from it one of each zone, then the remaining ones; `owner(key)` is the first.
   * Fewer than `count` if there are not as many.
   */
  preference(key: number, count: number): readonly Member[] {
    const wanted = Math.min(count, this.members.length);
    const zonesWanted = Math.min(wanted, this.#zoneCount);
    const firstOfZone: number[] = [];
    const others: number[] = [];
    const seen = new Set<number>();
    const start = this.#indexOf(key);
    for (let step = 0; step < this.#tokens.length; step++) {
      if (firstOfZone.length === zonesWanted && firstOfZone.length + others.length >= wanted) break;
      const owner = this.#owners[(start + step) % this.#tokens.length] ?? 0;
      if (seen.has(owner)) continue;
      seen.add(owner);
      const zone = this.#zones[owner];
      (firstOfZone.some((first) => this.#zones[first] === zone) ? others : firstOfZone).push(owner);
    }
    return [...firstOfZone, ...others].slice(0, wanted).flatMap((owner) => this.members[owner] ?? []);
  }

  /** The share of all keys that each member owns, in the order of `members`. They add up to 1. */
  shares(): readonly number[] {
    const owned = new Float64Array(this.members.length);
    let previous = (this.#tokens.at(-1) ?? 0) - 2 ** 32;
    this.#tokens.forEach((token, index) => {
      const owner = this.#owners[index] ?? 0;
      owned[owner] = (owned[owner] ?? 0) + (token - previous);
      previous = token;
    });
    return Array.from(owned, (keys) => keys / 2 ** 32);
  }

  /** Index of the first token at or above the key. */
  #indexOf(key: number): number {
    const tokens = this.#tokens;
    let low = 0;
    let high = tokens.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((tokens[middle] ?? 0) < key) low = middle + 1;
      else high = middle;
    }
    return low === tokens.length ? 0 : low;
  }
}

const byNodeId = (a: Member, b: Member): number => (a.nodeId < b.nodeId ? -1 : Number(a.nodeId > b.nodeId));

interface MergedTokens {
  readonly tokens: Uint32Array;
  readonly owners: Uint16Array;
}

/** Most new views have the same ACTIVE members as before, or those of the view before that: sorting takes a millisecond. */
const MERGED_MAX = 16;
const mergedBefore = new Map<string, MergedTokens>();

const mergedOnce = (members: readonly Member[], virtualNodes: number): MergedTokens => {
  const name = [virtualNodes, ...members.map(({ nodeId, weight }) => `${nodeId} ${weight}`)].join('\n');
  const merged = mergedBefore.get(name) ?? mergedTokens(members, virtualNodes);
  mergedBefore.delete(name);
  mergedBefore.set(name, merged);
  const oldest = mergedBefore.size > MERGED_MAX ? mergedBefore.keys().next().value : undefined;
  if (oldest !== undefined) mergedBefore.delete(oldest);
  return merged;
};

const mergedTokens = (members: readonly Member[], virtualNodes: number): MergedTokens => {
  const each = members.map(({ nodeId, weight }) => tokensOf(nodeId, Math.max(1, Math.round(virtualNodes * weight))));
  // Token and member in one double: sorting numbers takes a tenth of sorting pairs.
  const sorted = new Float64Array(each.reduce((count, tokens) => count + tokens.length, 0));
  let used = 0;
  each.forEach((tokens, owner) => {
    for (const token of tokens) sorted[used++] = token * MEMBERS_MAX + owner;
  });
  sorted.sort();
  const tokens = new Uint32Array(used);
  const owners = new Uint16Array(used);
  let distinct = 0;
  for (const pair of sorted) {
    const token = Math.floor(pair / MEMBERS_MAX);
    if (distinct > 0 && tokens[distinct - 1] === token) distinct -= 1;
    tokens[distinct] = token;
    owners[distinct] = pair % MEMBERS_MAX;
    distinct += 1;
  }
  return { tokens: tokens.slice(0, distinct), owners: owners.slice(0, distinct) };
};
