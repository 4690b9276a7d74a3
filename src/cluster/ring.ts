import { tokensOf, VIRTUAL_NODES } from './tokens.ts';
import type { Member, View } from './view.ts';

/** Members of a ring: an array of 16-bit numbers holds the index of one. */
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
  readonly #table: TokenTable;
  readonly #tokens: Uint32Array;
  readonly #owners: Uint16Array;
  /** Index of the zone of each member. */
  readonly #zones: Uint16Array;
  readonly #zoneCount: number;
  #shares: readonly number[] | undefined;

  /** @param virtualNodes of a member of weight 1; all nodes of a cluster must use the same */
  constructor(view: Pick<View, 'members'>, virtualNodes = VIRTUAL_NODES, table?: TokenTable) {
    this.members = onRing(view);
    this.#table = table ?? runToEnd(tableOf(this.members, virtualNodes));
    this.#tokens = this.#table.tokens;
    this.#owners = this.#table.owners;
    const zones = [...new Set(this.members.map(({ zone }) => zone))];
    this.#zoneCount = zones.length;
    this.#zones = Uint16Array.from(this.members, ({ zone }) => zones.indexOf(zone));
  }

  /** The ring of the view, in steps of a millisecond or so; this one itself if the view changes nothing of it. */
  *next(view: Pick<View, 'members'>): Generator<undefined, Ring, undefined> {
    const members = onRing(view);
    const isSameLength = members.length === this.members.length;
    // Everything else of a member is that of its process.
    if (
      isSameLength &&
      members.every((member, at) => isAlike(member, this.members[at]) && isOneProcess(member, this.members[at]))
    ) {
      return this;
    }
    const hasTable = isSameLength && members.every((member, at) => isAlike(member, this.members[at]));
    return new Ring(view, VIRTUAL_NODES, hasTable ? this.#table : yield* tableOf(members, VIRTUAL_NODES));
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

  /** Of the members that are wanted the first one clockwise from the key; undefined if none is. */
  firstOf(key: number, isWanted: (member: Member) => boolean): Member | undefined {
    const start = this.#indexOf(key);
    const seen = new Set<number>();
    for (let step = 0; step < this.#tokens.length && seen.size < this.members.length; step++) {
      const owner = this.#owners[(start + step) % this.#tokens.length] ?? 0;
      const member = this.members[owner];
      if (member && !seen.has(owner) && isWanted(member)) return member;
      seen.add(owner);
    }
    return undefined;
  }

  /** The share of all keys that each member owns, in the order of `members`. They add up to 1. Counted once: a page that is watched asks each second. */
  shares(): readonly number[] {
    this.#shares ??= this.#countShares();
    return this.#shares;
  }

  #countShares(): readonly number[] {
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

/** In a fixed order: of two members that collide on a token the later one has it, the same one on every node. */
const onRing = ({ members }: Pick<View, 'members'>): readonly Member[] => {
  const active = members.filter(({ state }) => state === 'ACTIVE').sort(byNodeId);
  if (active.length > MEMBERS_MAX) throw new RangeError(`a ring of ${active.length} members`);
  return active;
};

const isAlike = (member: Member, other: Member | undefined): boolean =>
  member.nodeId === other?.nodeId && member.weight === other.weight;

const isOneProcess = (member: Member, other: Member | undefined): boolean => member.incarnation === other?.incarnation;

export interface TokenTable {
  /** Ascending, distinct. */
  readonly tokens: Uint32Array;
  readonly owners: Uint16Array;
}

export const virtualNodesOf = ({ weight }: Pick<Member, 'weight'>, virtualNodes = VIRTUAL_NODES): number =>
  Math.max(1, Math.round(virtualNodes * weight));

type Steps<Result> = Generator<undefined, Result, undefined>;

/** Of rings made last: nodes of one process have the same ones, and a node that comes back has a ring that was there before. 25 KB a node each. */
const tables = new Map<string, TokenTable>();
const TABLES_MAX = 8;

function* tableOf(members: readonly Member[], virtualNodes: number): Steps<TokenTable> {
  const name = JSON.stringify([virtualNodes, members.map(({ nodeId, weight }) => [nodeId, weight])]);
  const table = tables.get(name) ?? (yield* mergedTokens(members, virtualNodes));
  tables.delete(name);
  tables.set(name, table);
  for (const oldest of [...tables.keys()].slice(0, -TABLES_MAX)) tables.delete(oldest);
  return table;
}

/** Neighbours first, so that each token is looked at as often as the number of members can be halved. */
function* mergedTokens(members: readonly Member[], virtualNodes: number): Steps<TokenTable> {
  let tables: TokenTable[] = [];
  for (const [owner, member] of members.entries()) {
    const tokens = yield* tokensOf(member.nodeId, virtualNodesOf(member, virtualNodes));
    tables.push({ tokens, owners: new Uint16Array(tokens.length).fill(owner) });
  }
  while (tables.length > 1) {
    const merged: TokenTable[] = [];
    for (let at = 0; at < tables.length; at += 2) {
      const [earlier, later] = [tables[at], tables[at + 1]];
      if (earlier) merged.push(later ? yield* mergedPair(earlier, later) : earlier);
    }
    tables = merged;
  }
  return tables[0] ?? { tokens: new Uint32Array(), owners: new Uint16Array() };
}

/** Some 10 ns each (measured). */
const MERGED_PER_STEP = 16_384;
/** Above any token. */
const PAST_ALL = 2 ** 32;

/** @param later has a token that both have */
function* mergedPair(earlier: TokenTable, later: TokenTable): Steps<TokenTable> {
  const count = earlier.tokens.length + later.tokens.length;
  const tokens = new Uint32Array(count);
  const owners = new Uint16Array(count);
  let [used, left, right] = [0, 0, 0];
  while (left < earlier.tokens.length || right < later.tokens.length) {
    const a = left < earlier.tokens.length ? (earlier.tokens[left] as number) : PAST_ALL;
    const b = right < later.tokens.length ? (later.tokens[right] as number) : PAST_ALL;
    tokens[used] = a < b ? a : b;
    owners[used] = (a < b ? earlier.owners[left] : later.owners[right]) as number;
    if (a <= b) left += 1;
    if (b <= a) right += 1;
    used += 1;
    if (used % MERGED_PER_STEP === 0) yield undefined;
  }
  yield undefined;
  return { tokens: tokens.subarray(0, used), owners: owners.subarray(0, used) };
}

const runToEnd = <Result>(steps: Steps<Result>): Result => {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
};
