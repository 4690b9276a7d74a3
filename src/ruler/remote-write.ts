import snappy from 'snappy';
import type { Clock } from '../protocol/clock.ts';
import { type DeliveryFigures, DeliveryQueue } from './delivery-queue.ts';
import type { HttpReceiver, HttpSender } from './http-sender.ts';
import { encodeWriteRequest, type TimedSample } from './write-request.ts';

export interface RemoteWriteClient extends HttpReceiver {
  readonly name: string;
  readonly waitingMax: number;
  readonly batchMax: number;
  readonly minBackoffMs: number;
  readonly maxBackoffMs: number;
  readonly retriesTooMany: boolean;
}

export interface RemoteWriteOptions {
  readonly clients: readonly RemoteWriteClient[];
  /** Each request says whose the samples are (X-Scope-OrgID). */
  readonly sendsTenant: boolean;
}

/** Chosen: a receiver that is being replaced is back by then, and the queue holds some minutes. */
const TOTAL_MS = 300_000;
const TRIES_MAX = 100;
/** Chosen: 2,000 usual samples and 10,000 waiting are a tenth of it; a label may be as long as a line. */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;
const WAITING_BYTES_MAX = 32 * 1024 * 1024;

const HEADERS = {
  'content-type': 'application/x-protobuf',
  'content-encoding': 'snappy',
  'x-prometheus-remote-write-version': '0.1.0',
  'user-agent': 'ringlog',
};

/** Sends samples to where a Prometheus would send them: remote write 1.0. */
export class RemoteWrite {
  readonly #queues: readonly (readonly [client: string, queue: DeliveryQueue<TimedSample>])[];

  constructor(
    { clients, sendsTenant }: RemoteWriteOptions,
    { sender, ...deps }: { readonly sender: HttpSender; readonly clock: Clock; readonly chance: () => number },
  ) {
    this.#queues = clients.map((client) => {
      const deliver = async (tenant: string, samples: readonly TimedSample[], signal: AbortSignal) => {
        const body = await snappy.compress(encodeWriteRequest(samples));
        const headers = sendsTenant ? { ...HEADERS, 'x-scope-orgid': tenant } : HEADERS;
        return await sender.post(client, body, headers, signal, client.retriesTooMany);
      };
      const { name, waitingMax, batchMax, minBackoffMs, maxBackoffMs } = client;
      const retries = { triesMax: TRIES_MAX, firstMs: minBackoffMs, lastMs: maxBackoffMs, shareMin: 0.5 };
      const bounds = { waitingMax, batchMax, waitingBytesMax: WAITING_BYTES_MAX, batchBytesMax: BATCH_BYTES_MAX };
      const queue = new DeliveryQueue<TimedSample>(
        { ...bounds, bytesOf: sampleBytes, totalMs: TOTAL_MS, retries, deliver },
        { ...deps, report: sender.report },
      );
      return [name, queue];
    });
  }

  get isEnabled(): boolean {
    return this.#queues.length > 0;
  }

  get figures(): readonly (readonly [client: string, figures: DeliveryFigures])[] {
    return this.#queues.map(([name, queue]) => [name, queue.figures]);
  }

  send(tenant: string, samples: readonly TimedSample[]): void {
    for (const [, queue] of this.#queues) queue.add(tenant, samples);
  }

  async close(deadlineMs: number): Promise<void> {
    await Promise.all(this.#queues.map(([, queue]) => queue.close(deadlineMs)));
  }
}

/** Of value, time and what is written around them. */
const SAMPLE_BYTES = 24;

/** In characters: near enough for a bound. */
const sampleBytes = ({ labels }: TimedSample): number => {
  let bytes = SAMPLE_BYTES;
  for (const text of labels) bytes += 2 + text.length;
  return bytes;
};
