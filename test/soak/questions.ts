/** Asks a node and hands its answers to the oracle. */
import { request } from 'undici';
import type { Finding, FoundEntry, Oracle, TimeRange } from './oracle.ts';
import type { ServedNode } from './served-node.ts';
import type { SoakStream } from './soak-entries.ts';

/** No answer: the node is gone, or refuses for now. */
export interface NoAnswer {
  readonly status: number;
  readonly text: string;
}

type JsonEntry = readonly [string, string, { readonly structuredMetadata?: Readonly<Record<string, string>> }?];

interface StreamsAnswer {
  readonly data: {
    readonly result: readonly {
      readonly stream: Readonly<Record<string, string>>;
      readonly values: readonly JsonEntry[];
    }[];
  };
}

interface VectorAnswer {
  readonly data: {
    readonly result: readonly {
      readonly metric: { readonly stream?: string };
      readonly value: readonly [number, string];
    }[];
  };
}

const LIMIT = 10_000_000;
const ASK_MS = 60_000;

export class Questions {
  readonly #oracle: Oracle;
  readonly #askMs: number;
  /** Entries that log queries returned. */
  returned = 0;
  answers = 0;
  settledCounts = 0;

  constructor(oracle: Oracle, askMs = ASK_MS) {
    this.#oracle = oracle;
    this.#askMs = askMs;
  }

  /** All entries of a stream in a range. */
  async entries(
    node: ServedNode,
    stream: SoakStream,
    range: TimeRange,
    direction: 'forward' | 'backward',
  ): Promise<readonly Finding[] | NoAnswer> {
    const askedMs = performance.now();
    const answer = await this.#get<StreamsAnswer>(node, 'query_range', stream.tenant, {
      query: `{stream="${stream.labels['stream']}"}`,
      start: `${range.startNs}`,
      end: `${range.endNs + 1n}`,
      limit: `${LIMIT}`,
      direction,
    });
    if ('status' in answer) return answer;
    this.answers += 1;
    const findings: Finding[] = [];
    const found: FoundEntry[] = [];
    for (const { stream: labels, values } of answer.data.result) {
      if (labels['stream'] !== stream.labels['stream']) {
        findings.push({ kind: 'invented', text: `a stream ${JSON.stringify(labels)}`, entries: values.length });
      }
      const entries = values.map(entryOf);
      const misplaced = misplacedIn(entries, direction);
      if (misplaced >= 0) {
        const around = entries
          .slice(Math.max(0, misplaced - 2), misplaced + 2)
          .map(({ timeNs, line }) => `${timeNs} ${line.slice(0, 12)}`);
        const text = `${stream.labelText} ${range.startNs} ${direction}, ${misplaced} of ${entries.length}: ${around.join(', ')}`;
        findings.push({ kind: 'misordered', text, entries: 1 });
      }
      found.push(...entries);
    }
    this.returned += found.length;
    return [...findings, ...this.#oracle.checkEntries(stream, range, askedMs, found)];
  }

  /** Counts of all streams of a pusher over the seconds up to `untilNs`, by count_over_time or by rate. */
  async counts(
    node: ServedNode,
    streams: readonly SoakStream[],
    untilNs: bigint,
    seconds: number,
    by: 'count_over_time' | 'rate',
  ): Promise<readonly Finding[] | NoAnswer> {
    const [first] = streams;
    if (!first) return [];
    const askedMs = performance.now();
    const answer = await this.#get<VectorAnswer>(node, 'query', first.tenant, {
      query: `sum by (stream) (${by}({pusher="${first.pusher}"}[${seconds}s]))`,
      time: `${untilNs}`,
    });
    if ('status' in answer) return answer;
    this.answers += 1;
    const values = new Map(answer.data.result.map(({ metric, value }) => [metric.stream, Number(value[1])]));
    const range = { startNs: untilNs - BigInt(seconds) * 1_000_000_000n + 1n, endNs: untilNs };
    return streams.flatMap((stream) => {
      const value = values.get(stream.labels['stream']) ?? 0;
      const count = by === 'rate' ? Math.round(value * seconds) : value;
      const { isSettled, findings } = this.#oracle.checkCount(stream, range, askedMs, count);
      if (isSettled) this.settledCounts += 1;
      return findings.map((finding) => ({ ...finding, text: `${by}: ${finding.text}` }));
    });
  }

  #get<Answer extends object>(
    node: ServedNode,
    path: string,
    tenant: string,
    parameters: Readonly<Record<string, string>>,
  ): Promise<Answer | NoAnswer> {
    return get(node, path, tenant, parameters, this.#askMs);
  }
}

const entryOf = ([time, line, categories]: JsonEntry): FoundEntry => ({
  timeNs: BigInt(time),
  line,
  metadata: Object.entries(categories?.structuredMetadata ?? {}).flat(),
});

/** The first entry that is before the one before it; -1 if there is none. */
const misplacedIn = (entries: readonly FoundEntry[], direction: 'forward' | 'backward'): number =>
  entries.findIndex(({ timeNs }, index) => {
    const before = entries[index - 1]?.timeNs ?? timeNs;
    return direction === 'forward' ? before > timeNs : before < timeNs;
  });

const get = async <Answer extends object>(
  node: ServedNode,
  path: string,
  tenant: string,
  parameters: Readonly<Record<string, string>>,
  askMs: number,
): Promise<Answer | NoAnswer> => {
  try {
    const answer = await request(`${node.url}/loki/api/v1/${path}?${new URLSearchParams(parameters)}`, {
      dispatcher: node.agent,
      headers: { 'x-scope-orgid': tenant, 'x-loki-response-encoding-flags': 'categorize-labels' },
      signal: AbortSignal.timeout(askMs),
    });
    const text = await answer.body.text();
    if (answer.statusCode !== 200) return { status: answer.statusCode, text };
    const { status: _, ...rest } = JSON.parse(text);
    return rest as Answer;
  } catch (error) {
    return { status: 0, text: (error as Error).message };
  }
};
