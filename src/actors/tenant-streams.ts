import type { TailListener } from '../query/tail-listener.ts';
import { type CompiledMatcher, LabelIndex } from './label-index.ts';
import type { StreamCell } from './stream-cell.ts';

/** A live reader: gets what is appended to the streams that pass its matchers, from now on. */
export interface TailSubscription {
  readonly matchers: readonly CompiledMatcher[];
  readonly listener: Pick<TailListener, 'appended'>;
}

/** The streams of one tenant on this node. */
export class TenantStreams {
  readonly name: string;
  /** By canonical label text. */
  readonly cells: Map<string, StreamCell> = new Map();
  readonly index: LabelIndex<StreamCell> = new LabelIndex();
  readonly subscriptions: Set<TailSubscription> = new Set();

  constructor(name: string) {
    this.name = name;
  }
}
