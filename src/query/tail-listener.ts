import type { MemoryStream } from './query-source.ts';

export interface DroppedEntry {
  readonly timeNs: bigint;
  /** Flat pairs of its stream. */
  readonly labels: readonly string[];
}

/** Who is told what is appended from now on. Must not throw. */
export interface TailListener {
  /** Just accepted, as a segment of its own. */
  appended(stream: MemoryStream): void;
  /** Appended at another node, which could not keep it until it was read here. */
  dropped(entries: readonly DroppedEntry[]): void;
  /** Some of what was appended since may be told by nobody: another node is heard for the first time, or again. */
  missed(sinceMs: number): void;
}
