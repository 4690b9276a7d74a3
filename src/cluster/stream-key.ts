import xxhash from 'xxhash-wasm';
import type { Member } from './view.ts';

// Loaded while the module is: hashing is synchronous for whoever imports this.
const { h32 } = await xxhash();

const CACHED_TENANTS_MAX = 4096;
const seeds = new Map<string, number>();

/**
 * A stream's place on the ring, 32 bits: XXH32 of the labels' canonical text, seeded with the tenant's. Not of the fingerprint: which one a
 * stream gets when two collide depends on which came first, and that differs from node to node. About as dear as a fingerprint; a
 * function of a label set and its tenant, so whoever caches those can keep it beside them.
 */
export const streamKey = (tenant: string, canonical: string): number => h32(canonical, seedOf(tenant));

/** 32 bits that are equal for equal rings, and as a rule different for different ones. */
export const ringDigest = (members: readonly Pick<Member, 'nodeId' | 'weight'>[]): number =>
  h32(members.map(({ nodeId, weight }) => `${nodeId} ${weight}`).join('\n'));

const seedOf = (tenant: string): number => {
  const known = seeds.get(tenant);
  if (known !== undefined) return known;
  // Only a cache: forgetting all of it costs a hash each.
  if (seeds.size >= CACHED_TENANTS_MAX) seeds.clear();
  const seed = h32(tenant);
  seeds.set(tenant, seed);
  return seed;
};
