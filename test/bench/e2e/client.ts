/** Sends prepared pushes over keep-alive connections, and asks queries. */
import { Pool, request } from 'undici';
import type { Load } from '../../support/load.ts';

export interface SendResult {
  readonly wallSeconds: number;
  readonly pushes: number;
  /** Pushes that were refused for overload and sent again. */
  readonly retries: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

/** Closed loop: each connection sends its next push when the last is answered. Anything but 204, 429 and 503 ends the run. */
export const sendAll = async (url: string, load: Load, until?: () => boolean): Promise<SendResult> => {
  const pool = new Pool(url, { connections: load.bodies.length, pipelining: 1 });
  const times: number[] = [];
  let retries = 0;
  const push = async (body: Buffer): Promise<void> => {
    for (;;) {
      const answer = await pool.request({
        method: 'POST',
        path: load.path,
        headers: load.headers,
        body,
      });
      const text = await answer.body.text();
      if (answer.statusCode === 204) return;
      if (answer.statusCode !== 429 && answer.statusCode !== 503) throw new Error(`push: ${answer.statusCode} ${text}`);
      retries += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const begin = performance.now();
  await Promise.all(
    load.bodies.map(async (bodies) => {
      for (const body of bodies) {
        if (until?.()) return;
        const sentAt = performance.now();
        await push(body);
        times.push(performance.now() - sentAt);
      }
    }),
  );
  const wallSeconds = (performance.now() - begin) / 1000;
  await pool.close();
  times.sort((a, b) => a - b);
  return { wallSeconds, pushes: times.length, retries, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
};

export interface AskOptions {
  readonly startMs: number;
  readonly endMs: number;
  readonly limit?: number;
  readonly stepSeconds?: number;
  /** Nothing of earlier answers. */
  readonly isCold?: boolean;
}

/** One query_range; the parsed `data`. */
export const ask = async (
  url: string,
  query: string,
  options: AskOptions,
): Promise<{ result: unknown[]; resultType: string }> => {
  const parameters = new URLSearchParams({
    query,
    start: `${options.startMs}000000`,
    end: `${options.endMs}000000`,
    step: String(options.stepSeconds ?? 60),
    limit: String(options.limit ?? 1000),
  });
  const answer = await request(`${url}/loki/api/v1/query_range?${parameters}`, {
    headersTimeout: 300_000,
    bodyTimeout: 300_000,
    headers: options.isCold ? { 'cache-control': 'no-store' } : {},
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${query}: ${answer.statusCode} ${text}`);
  return JSON.parse(text).data;
};

export const post = async (url: string): Promise<void> => {
  const answer = await request(url, { method: 'POST', headersTimeout: 300_000 });
  const text = await answer.body.text();
  if (answer.statusCode >= 300) throw new Error(`${url}: ${answer.statusCode} ${text}`);
};
