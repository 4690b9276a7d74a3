import type { Member, RosterEntry, View } from '../view.ts';
import type { MemberKeys } from './member-keys.ts';
import type { KeyEvent, KeyValue, RangeReply } from './membership-store.ts';

/** Ranges and watched changes → the view. No clock, no I/O. What arrives late or twice changes nothing. */
export class ViewState {
  readonly #keys: MemberKeys;
  #entries = new Map<string, KeyValue>();
  #knownThrough = 0;
  #view: View = { changedAt: 0, members: [], roster: [] };

  constructor(keys: MemberKeys) {
    this.#keys = keys;
  }

  get view(): View {
    return this.#view;
  }

  /** Store revision up to which nothing is missing. */
  get knownThrough(): number {
    return this.#knownThrough;
  }

  /** @returns whether it told of a change that was not known */
  applyRange({ revision, entries }: RangeReply): boolean {
    if (revision < this.#knownThrough) return false;
    const before = this.#entries;
    this.#knownThrough = revision;
    this.#entries = new Map(entries.filter((entry) => this.#isOfView(entry.key)).map((entry) => [entry.key, entry]));
    const changed = [...this.#entries.values()].filter(
      (entry) => before.get(entry.key)?.modRevision !== entry.modRevision,
    );
    const hasGone = [...before.keys()].some((key) => !this.#entries.has(key));
    if (changed.length === 0 && !hasGone && this.#view.changedAt > 0) return false;
    // When a key went, a range does not tell: not later than the range itself.
    const isExact = !hasGone && this.#view.changedAt > 0;
    this.#rebuild(isExact ? Math.max(...changed.map(({ modRevision }) => modRevision)) : revision);
    return true;
  }

  /** @returns whether the view changed */
  applyEvents(revision: number, events: readonly KeyEvent[]): boolean {
    if (revision <= this.#knownThrough) return false;
    this.#knownThrough = revision;
    const seen = events.filter((event) => this.#isOfView(event.type === 'put' ? event.entry.key : event.key));
    for (const event of seen) {
      if (event.type === 'put') this.#entries.set(event.entry.key, event.entry);
      else this.#entries.delete(event.key);
    }
    if (seen.length > 0) this.#rebuild(revision);
    return seen.length > 0;
  }

  applyProgress(revision: number): void {
    this.#knownThrough = Math.max(this.#knownThrough, revision);
  }

  #isOfView(key: string): boolean {
    return key.startsWith(`${this.#keys.prefix}members/`) || key.startsWith(`${this.#keys.prefix}roster/`);
  }

  #rebuild(changedAt: number): void {
    const entries = [...this.#entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    const members: Member[] = entries.flatMap((entry) => this.#keys.memberOf(entry) ?? []);
    const roster: RosterEntry[] = entries.flatMap((entry) => this.#keys.rosterOf(entry) ?? []);
    this.#view = { changedAt: Math.max(changedAt, this.#view.changedAt), members, roster };
  }
}
