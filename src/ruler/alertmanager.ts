import type { Clock } from '../protocol/clock.ts';
import type { Alert } from './alerting-rule.ts';
import { type DeliveryFigures, DeliveryQueue } from './delivery-queue.ts';
import { type HttpReceiver, type HttpSender, shownUrl } from './http-sender.ts';
import type { NamedTexts } from './rule-group.ts';

export interface AlertmanagerOptions {
  /** Each hears of every alert. */
  readonly receivers: readonly HttpReceiver[];
  readonly waitingMax: number;
  readonly externalUrl: string;
  readonly externalLabels: NamedTexts;
  /** Of Grafana's data source, for links to the expression. */
  readonly datasourceUid: string;
}

/** As Alertmanager takes it, `/api/v2/alerts`. */
interface PostedAlert {
  readonly labels: NamedTexts;
  readonly annotations: NamedTexts;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly generatorURL: string;
}

const API_PATH = '/api/v2/alerts';
/** As Prometheus sends. */
const BATCH_MAX = 256;
/** Chosen: a request that any proxy takes, and 10,000 usual alerts waiting. As JSON it may be six times as much. */
const BATCH_BYTES_MAX = 1024 * 1024;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;
/** Chosen: what fails for longer is sent again with the next `resend_delay`. */
const RETRIES = { triesMax: 4, firstMs: 250, lastMs: 5_000, shareMin: 0.5 };
/** An alert that is not sent again has ended after so many of the longer of interval and resend delay. Prometheus'. */
const VALID_PERIODS = 4;

/** Tells Alertmanagers what fires and what no longer does. */
export class Alertmanager {
  readonly #options: AlertmanagerOptions;
  readonly #queues: readonly (readonly [receiver: string, queue: DeliveryQueue<PostedAlert>])[];

  constructor(
    options: AlertmanagerOptions,
    { sender, ...deps }: { readonly sender: HttpSender; readonly clock: Clock; readonly chance: () => number },
  ) {
    this.#options = options;
    this.#queues = options.receivers.map((receiver) => {
      const { url, timeoutMs } = receiver;
      const target = { ...receiver, url: apiUrl(url) };
      const deliver = (tenant: string, alerts: readonly PostedAlert[], signal: AbortSignal) =>
        sender.post(target, JSON.stringify(alerts), { ...JSON_BODY, 'x-scope-orgid': tenant }, signal);
      const { waitingMax } = options;
      const totalMs = timeoutMs * RETRIES.triesMax;
      const queue = new DeliveryQueue<PostedAlert>(
        {
          waitingMax,
          batchMax: BATCH_MAX,
          waitingBytesMax: WAITING_BYTES_MAX,
          batchBytesMax: BATCH_BYTES_MAX,
          bytesOf: alertBytes,
          totalMs,
          retries: RETRIES,
          deliver,
        },
        { ...deps, report: sender.report },
      );
      return [shownUrl(url), queue];
    });
  }

  get figures(): readonly (readonly [receiver: string, figures: DeliveryFigures])[] {
    return this.#queues.map(([receiver, queue]) => [receiver, queue.figures]);
  }

  get waitingMax(): number {
    return this.#options.waitingMax;
  }

  /** @param periodMs the longer of the group's interval and the resend delay */
  send(tenant: string, expr: string, alerts: readonly Alert[], periodMs: number): void {
    const generatorURL = this.#options.externalUrl + linkTo(expr, this.#options.datasourceUid);
    const posted = alerts.map((alert) => this.#posted(alert, generatorURL, periodMs));
    for (const [, queue] of this.#queues) queue.add(tenant, posted);
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all(this.#queues.map(([, queue]) => queue.close(deadlineMs)));
  }

  #posted(alert: Alert, generatorURL: string, periodMs: number): PostedAlert {
    const { labels, annotations, firedAtMs, activeAtMs, resolvedAtMs, lastSentMs = activeAtMs } = alert;
    return {
      labels: { ...this.#options.externalLabels, ...recordOf(labels) },
      annotations,
      startsAt: timeText(firedAtMs ?? activeAtMs),
      endsAt: timeText(resolvedAtMs ?? lastSentMs + VALID_PERIODS * periodMs),
      generatorURL,
    };
  }
}

/** Of what is written around the texts. */
const FRAME_BYTES = 150;
const PAIR_BYTES = 6;

/** In characters: near enough for a bound. */
const alertBytes = ({ labels, annotations, generatorURL }: PostedAlert): number => {
  let bytes = FRAME_BYTES + generatorURL.length;
  for (const texts of [labels, annotations]) {
    for (const name in texts) bytes += PAIR_BYTES + name.length + (texts[name]?.length ?? 0);
  }
  return bytes;
};

const JSON_BODY = { 'content-type': 'application/json' };

/** The API below the path that the URL has, without what says who asks: that is a header. */
const apiUrl = (url: string): string => {
  const parsed = new URL(url);
  parsed.pathname = parsed.pathname.replace(/\/*$/, '') + API_PATH;
  return parsed.href;
};

/** Grafana's Explore with the expression in it, as Loki links. */
const linkTo = (expr: string, uid: string): string => {
  const query = { expr, queryType: 'range', ...(uid !== '' && { datasource: { type: 'loki', uid } }) };
  return `/explore?${new URLSearchParams({ left: JSON.stringify({ queries: [query] }) })}`;
};

const recordOf = (labels: readonly string[]): NamedTexts => {
  const pairs: [string, string][] = [];
  for (let index = 0; index < labels.length; index += 2) pairs.push([labels[index] ?? '', labels[index + 1] ?? '']);
  return Object.fromEntries(pairs);
};

// biome-ignore lint/style/noRestrictedGlobals: a time that is given as text, not the time of now
const timeText = (ms: number): string => new Date(ms).toISOString();
