/** Ways to read a query actor's events without being an actor oneself. */
import { dispatch, type Ref } from 'nact';
import { canonicalText, compareBytes } from '../protocol/label-text.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type {
  LogEntry,
  LogStream,
  MetricSeries,
  QueryCommand,
  QueryEvent,
  QueryResult,
  QueryStatistics,
} from '../query/query-messages.ts';
import type { RunningQuery } from './node-services.ts';
import type { QueryReader } from './querier.ts';

/** Events a reader may be behind the actor. */
const CREDITS_AHEAD = 2;

const isLast = (event: QueryEvent): boolean => event.type === 'done' || event.type === 'failed';

/** The events of a query as an async iterable: one is pulled for each one taken. Leaving the loop early cancels the query. */
export const readEvents = (spawnWith: (reader: QueryReader) => Ref<QueryCommand>): RunningQuery => {
  const arrived: QueryEvent[] = [];
  let wake: (() => void) | undefined;
  const query = spawnWith((event) => {
    arrived.push(event);
    wake?.();
  });
  async function* events(): AsyncGenerator<QueryEvent> {
    dispatch(query, { type: 'pull', credits: CREDITS_AHEAD });
    try {
      for (;;) {
        const event = arrived.shift();
        if (!event) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        yield event;
        if (isLast(event)) return;
        dispatch(query, { type: 'pull', credits: 1 });
      }
    } finally {
      dispatch(query, { type: 'cancel' });
    }
  }
  return { events: events(), cancel: () => dispatch(query, { type: 'cancel' }) };
};

/**
 * The whole answer of a query. Entries of streams that came in several batches are put together.
 * @throws RefusedError with what the query failed with
 */
export const readAll = async (query: RunningQuery, signal: AbortSignal): Promise<QueryResult> => {
  const cancel = () => query.cancel();
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  const answer = new WholeAnswer();
  try {
    for await (const event of query.events) {
      if (event.type === 'failed') throw new RefusedError(event.refusal);
      if (event.type === 'done') return answer.finish(event.statistics);
      answer.add(event);
    }
  } finally {
    signal.removeEventListener('abort', cancel);
  }
  throw new RefusedError({ code: 'INTERNAL', text: 'the query ended without an answer' });
};

class WholeAnswer {
  readonly #streams: Map<string, { readonly labels: readonly string[]; readonly entries: LogEntry[] }> = new Map();
  readonly #series: MetricSeries[] = [];
  #eventCount = 0;
  #type: QueryResult['type'] = 'streams';
  #scalar = { timeMs: 0, value: 0 };

  add(event: QueryEvent): void {
    switch (event.type) {
      case 'entries':
        this.#eventCount += 1;
        for (const stream of event.streams) this.#addStream(stream);
        return;
      case 'series':
        this.#type = event.resultType;
        for (const series of event.series) this.#series.push(series);
        return;
      case 'scalar':
        this.#type = 'scalar';
        this.#scalar = { timeMs: event.timeMs, value: event.value };
        return;
      case 'done':
      case 'failed':
        return;
    }
  }

  finish(statistics: QueryStatistics): QueryResult {
    switch (this.#type) {
      case 'streams':
        return { type: 'streams', streams: this.#sortedStreams(), statistics };
      case 'scalar':
        return { type: 'scalar', ...this.#scalar, statistics };
      case 'matrix':
      case 'vector':
        return { type: this.#type, series: this.#series, statistics };
    }
  }

  /** By their printed labels, as within one event. */
  #sortedStreams(): LogStream[] {
    const streams = [...this.#streams.values()];
    if (this.#eventCount < 2) return streams;
    const named = streams.map((stream) => ({ stream, name: canonicalText(stream.labels) }));
    return named.sort((a, b) => compareBytes(a.name, b.name)).map(({ stream }) => stream);
  }

  #addStream({ labels, entries }: LogStream): void {
    const key = JSON.stringify(labels);
    const known = this.#streams.get(key);
    if (!known) {
      this.#streams.set(key, { labels, entries: [...entries] });
      return;
    }
    for (const entry of entries) known.entries.push(entry);
  }
}
