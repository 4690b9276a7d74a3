import type { Limits } from './limits.ts';
import type { Refusal } from './refusal.ts';

const RETRY_MS_MAX = 60_000;

/** Fills at a rate up to a burst; starts full. Two numbers, so that each stream can have one. */
export class TokenBucket {
  #tokens: number;
  #filledAtMs: number;

  /** @param nowMs monotonic */
  constructor(burst: number, nowMs: number) {
    this.#tokens = burst;
    this.#filledAtMs = nowMs;
  }

  /** Takes all of `amount` or nothing. More than `burst` is never given. */
  take(amount: number, ratePerSecond: number, burst: number, nowMs: number): boolean {
    this.#fill(ratePerSecond, burst, nowMs);
    if (amount > this.#tokens) return false;
    this.#tokens -= amount;
    return true;
  }

  isFull(ratePerSecond: number, burst: number, nowMs: number): boolean {
    this.#fill(ratePerSecond, burst, nowMs);
    return this.#tokens >= burst;
  }

  /** Milliseconds until `amount`, or the whole burst if that is less, is there. */
  waitMs(amount: number, ratePerSecond: number, burst: number): number {
    const missing = Math.max(0, Math.min(amount, burst) - this.#tokens);
    return missing === 0 || ratePerSecond <= 0 ? RETRY_MS_MAX : Math.ceil((missing * 1000) / ratePerSecond);
  }

  #fill(ratePerSecond: number, burst: number, nowMs: number): void {
    const gained = (Math.max(0, nowMs - this.#filledAtMs) * ratePerSecond) / 1000;
    this.#tokens = Math.min(burst, this.#tokens + gained);
    this.#filledAtMs = nowMs;
  }
}

/** Buckets kept at once; full ones are forgotten first, which changes nothing for their tenants (chosen). */
const TENANTS_MAX = 10_000;

/** ingestion_rate_mb and ingestion_burst_size_mb, a bucket for each tenant. */
export class IngestionRateLimiter {
  readonly #monotonicMs: () => number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(monotonicMs: () => number) {
    this.#monotonicMs = monotonicMs;
  }

  /**
   * Asks for a push's bytes: line bytes, and names and values of structured metadata.
   * @param nodes that share the rate where it is the cluster's; each gets an equal part, and the whole burst
   * @returns the refusal with Loki's text; nothing of the push may be stored then
   */
  take(tenant: string, lines: number, bytes: number, limits: Limits, nodes = 1): Refusal | undefined {
    const { ingestionRateBytes, ingestionBurstBytes: burst, ingestionRateStrategy } = limits;
    const rate = ingestionRateStrategy === 'global' ? ingestionRateBytes / nodes : ingestionRateBytes;
    const nowMs = this.#monotonicMs();
    const bucket = this.#bucketOf(tenant, limits, nowMs);
    if (bucket.take(bytes, rate, burst, nowMs)) return undefined;
    const retryAfterMs = Math.min(RETRY_MS_MAX, bucket.waitMs(bytes, rate, burst));
    const text =
      `ingestion rate limit exceeded for user ${tenant} (limit: ${Math.trunc(rate)} bytes/sec) while attempting to ingest ` +
      `'${lines}' lines totaling '${bytes}' bytes, reduce log volume or contact your Loki administrator to see if the limit can be increased`;
    return { code: 'RATE_LIMITED', text, retryAfterMs };
  }

  #bucketOf(tenant: string, limits: Limits, nowMs: number): TokenBucket {
    const known = this.#buckets.get(tenant);
    if (known) return known;
    if (this.#buckets.size >= TENANTS_MAX) this.#forget(limits, nowMs);
    const bucket = new TokenBucket(limits.ingestionBurstBytes, nowMs);
    this.#buckets.set(tenant, bucket);
    return bucket;
  }

  /** Drops full buckets, and the oldest if there are none. */
  #forget({ ingestionRateBytes, ingestionBurstBytes }: Limits, nowMs: number): void {
    for (const [tenant, bucket] of this.#buckets) {
      if (bucket.isFull(ingestionRateBytes, ingestionBurstBytes, nowMs)) this.#buckets.delete(tenant);
    }
    for (const tenant of this.#buckets.keys()) {
      if (this.#buckets.size < TENANTS_MAX) break;
      this.#buckets.delete(tenant);
    }
  }
}
