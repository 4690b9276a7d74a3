import HashRing from 'hash-ring';

/**
 * Of a node of weight 1; every node of a cluster must use the same. Measured over 100 sets of names: with 512 the fullest of 50 nodes owns
 * more than 1.10 × the mean in 39 of them, with 1024 in 8, with 2048 in 1, with 4096 in none (1.05 at most).
 */
export const VIRTUAL_NODES = 4096;

/** Bounds what nodes that are long gone leave behind; a cluster has fewer. */
const CACHED_MAX = 1024;

/** The package's tokens are the lower 64 bits of an MD5, as signed decimal text; the ring uses the lower 32. */
const TOKEN_BITS = 32;

const cache = new Map<string, Uint32Array>();

/**
 * The tokens of one node, ascending. A pure function of its arguments, cached: hashing them takes milliseconds. More virtual nodes add
 * tokens, those there stay.
 */
export const tokensOf = (nodeId: string, virtualNodes: number): Uint32Array => {
  const name = `${virtualNodes} ${nodeId}`;
  const cached = cache.get(name);
  if (cached) return cached;
  const ring = new HashRing([nodeId], { hashMethod: 'md5', replicas: virtualNodes });
  const tokens = Uint32Array.from(Object.keys(ring.rings), (token) =>
    Number(BigInt.asUintN(TOKEN_BITS, BigInt(token))),
  );
  tokens.sort();
  const oldest = cache.size < CACHED_MAX ? undefined : cache.keys().next().value;
  if (oldest !== undefined) cache.delete(oldest);
  cache.set(name, tokens);
  return tokens;
};
