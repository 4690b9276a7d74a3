/** What is wrong, by kind; the first ones are printed as they come. */
import type { Finding, FindingKind } from './oracle.ts';

const PRINTED_MAX = 40;

/** What a node may say while its stores fail, or after a kill. */
const EXPECTED = [
  /could not be stored; trying again/,
  /could not be told of a stored segment; trying again/,
  /that lies in the log could not be stored: outage/,
  /the log ended in the middle of a write, which nobody was told of/,
];

export class Findings {
  readonly #print: (line: string) => void;
  readonly #entries = new Map<FindingKind, number>();
  #count = 0;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  get count(): number {
    return this.#count;
  }

  /** Entries concerned, in all findings of the kind. */
  entries(kind: FindingKind): number {
    return this.#entries.get(kind) ?? 0;
  }

  readonly add = (finding: Finding): void => {
    this.#count += 1;
    this.#entries.set(finding.kind, this.entries(finding.kind) + finding.entries);
    if (this.#count <= PRINTED_MAX) this.#print(`WRONG ${new Date().toISOString()} ${finding.kind}: ${finding.text}`);
  };

  /** A line of a node's log of level warn and above. */
  logged(text: string): void {
    if (!EXPECTED.some((pattern) => pattern.test(text)))
      this.add({ kind: 'broken', text: `a node says: ${text}`, entries: 1 });
  }
}
