import { Counter, type Registry } from 'prom-client';
import type { DecodedPush, PushOutcome } from '../actors/node-services.ts';
import type { RefusalCode } from '../protocol/refusal.ts';

interface TenantCounts {
  lines: number;
  bytes: number;
  /** Lines not accepted, by reason. */
  readonly discarded: Map<string, number>;
}

/** Why lines are discarded that were refused together. Loki counts labels that do not parse; its word, else the code's. */
const reasonOf = (code: RefusalCode): string => (code === 'BAD_REQUEST' ? 'invalid_labels' : code.toLowerCase());

const discard = ({ discarded }: TenantCounts, reason: string, lines: number): void => {
  discarded.set(reason, (discarded.get(reason) ?? 0) + lines);
};

/** Tenants counted by name; more of them are counted together. A bound on memory and on the answer's size. */
const TENANTS_MAX = 10_000;
const OTHER_TENANTS = 'other';

/** Pushes per tenant, over HTTP and gRPC: plain fields on the way, copied when metrics are asked for. */
export class PushMetrics {
  readonly #tenants = new Map<string, TenantCounts>();

  constructor(registry: Registry) {
    this.#addCounter(registry, 'loki_distributor_bytes_received_total', 'Line bytes accepted.', ({ bytes }) => bytes);
    this.#addCounter(registry, 'loki_distributor_lines_received_total', 'Lines accepted.', ({ lines }) => lines);
    const tenants = this.#tenants;
    new Counter({
      name: 'loki_discarded_samples_total',
      help: 'Lines not accepted, by reason.',
      labelNames: ['reason', 'tenant'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [tenant, { discarded }] of tenants) {
          for (const [reason, count] of discarded) this.inc({ reason, tenant }, count);
        }
      },
    });
  }

  count(
    tenant: string,
    push: DecodedPush,
    { acceptedLines, acceptedBytes, refusal, discarded = [] }: PushOutcome,
  ): void {
    const counts = this.#tenants.get(tenant) ?? this.#open(tenant);
    counts.lines += acceptedLines;
    counts.bytes += acceptedBytes;
    for (const { reason, lines } of discarded) discard(counts, reason, lines);
    if (!refusal) return;
    const sent = push.streams.reduce((sum, { first, end }) => sum + end - first, 0);
    const together = discarded.reduce((left, { lines }) => left - lines, sent - acceptedLines);
    if (together > 0) discard(counts, reasonOf(refusal.code), together);
  }

  #open(tenant: string): TenantCounts {
    const name = this.#tenants.size < TENANTS_MAX ? tenant : OTHER_TENANTS;
    const known = this.#tenants.get(name);
    if (known) return known;
    const counts = { lines: 0, bytes: 0, discarded: new Map<string, number>() };
    this.#tenants.set(name, counts);
    return counts;
  }

  #addCounter(registry: Registry, name: string, help: string, read: (counts: TenantCounts) => number): void {
    const tenants = this.#tenants;
    new Counter({
      name,
      help,
      labelNames: ['tenant'],
      registers: [registry],
      collect() {
        this.reset();
        for (const [tenant, counts] of tenants) this.inc({ tenant }, read(counts));
      },
    });
  }
}
