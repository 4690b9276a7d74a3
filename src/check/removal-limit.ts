interface Counts {
  kept: number;
  lost: number;
}

/**
 * Holds a removal back that would take too large a share: then the other side is the wrong one, or gone. Counted over everything and for each tenant, since
 * one tenant's share is lost among the others'. Asked once all is counted.
 */
export class RemovalLimit {
  readonly #shareMax: number;
  readonly #what: string;
  readonly #tenants = new Map<string, Counts>();
  readonly #all: Counts = { kept: 0, lost: 0 };

  /** @param what the loss in words, behind a number: `rows have no object: is this their bucket?` */
  constructor(shareMax: number, what: string) {
    this.#shareMax = shareMax;
    this.#what = what;
  }

  /** One whose other side was looked up and is there. */
  keep(tenant: string): void {
    this.#all.kept += 1;
    this.#of(tenant).kept += 1;
  }

  /** One that would go. */
  lose(tenant: string): void {
    this.#all.lost += 1;
    this.#of(tenant).lost += 1;
  }

  /** Why none of the tenant's may go; undefined if they may. */
  whyHeld(tenant: string): string | undefined {
    return this.#whyHeld(this.#all, '') ?? this.#whyHeld(this.#of(tenant), `${tenant}'s `);
  }

  #whyHeld({ kept, lost }: Counts, whose: string): string | undefined {
    const count = kept + lost;
    if (lost === 0 || lost / count <= this.#shareMax) return undefined;
    const percent = Math.ceil((lost / count) * 100);
    return `kept: ${lost} of ${whose}${count} ${this.#what} If it is, add --removals-max ${percent}`;
  }

  #of(tenant: string): Counts {
    const counts = this.#tenants.get(tenant) ?? { kept: 0, lost: 0 };
    this.#tenants.set(tenant, counts);
    return counts;
  }
}
