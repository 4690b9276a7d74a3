import { readFile } from 'node:fs/promises';
import type { Agent } from 'undici';
import type { Clock } from '../protocol/clock.ts';
import type { Delivery } from './delivery-queue.ts';

/** Who the sender says it is: `type credentials`, read from a file again for each request, since it may be replaced. */
export interface Authorization {
  readonly type: string;
  /** Empty: none. */
  readonly credentials_file: string;
}

export interface HttpReceiver {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly authorization: Authorization;
  readonly timeoutMs: number;
}

export interface HttpSenderDeps {
  readonly clock: Clock;
  readonly report: (problem: string, error: unknown, about?: object) => void;
}

/** Of an error's answer, for the log. */
const SHOWN_BYTES_MAX = 1024;
const CONNECTIONS_MAX = 8;

/** Posts to Alertmanagers and receivers of remote write. */
export class HttpSender {
  readonly report: HttpSenderDeps['report'];
  readonly #clock: Clock;
  #agent: Agent | undefined;

  constructor({ clock, report }: HttpSenderDeps) {
    this.report = report;
    this.#clock = clock;
  }

  /**
   * One try. What is worth another: no answer in time, 5xx, and 429 unless `retriesTooMany` is false.
   * @throws never
   */
  async post(
    receiver: HttpReceiver,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    retriesTooMany = true,
  ): Promise<Delivery> {
    // An abort that was before is not told again.
    if (signal.aborted) return 'again';
    const { report } = this;
    const { url, timeoutMs } = receiver;
    const call = new AbortController();
    const cancelTimer = this.#clock.after(timeoutMs, () => call.abort(new Error(`no answer within ${timeoutMs} ms`)));
    const giveUp = (): void => call.abort(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      // Most nodes have no rules, and start without it.
      const { Agent, request } = await import('undici');
      this.#agent ??= new Agent({ connections: CONNECTIONS_MAX });
      const answer = await request(withoutUser(url), {
        method: 'POST',
        headers: { ...receiver.headers, ...(await authorizationOf(receiver)), ...headers },
        body,
        signal: call.signal,
        dispatcher: this.#agent,
      });
      const { statusCode } = answer;
      if (statusCode >= 200 && statusCode < 300) {
        await answer.body.dump();
        return 'delivered';
      }
      const text = await beginningOf(answer.body);
      report('a receiver of alerts or samples refused them', new Error(`${statusCode}: ${text}`), {
        url: shownUrl(url),
      });
      return statusCode >= 500 || (statusCode === 429 && retriesTooMany) ? 'again' : 'refused';
    } catch (error) {
      if (!signal.aborted) report('a receiver of alerts or samples cannot be reached', error, { url: shownUrl(url) });
      return 'again';
    } finally {
      cancelTimer();
      signal.removeEventListener('abort', giveUp);
    }
  }

  async close(): Promise<void> {
    await this.#agent?.destroy();
  }
}

/** The rest is not read. */
const beginningOf = async (body: AsyncIterable<Buffer>): Promise<string> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body) {
    parts.push(part);
    size += part.length;
    if (size >= SHOWN_BYTES_MAX) break;
  }
  return Buffer.concat(parts).toString('utf8', 0, SHOWN_BYTES_MAX);
};

const authorizationOf = async ({ url, authorization }: HttpReceiver): Promise<Readonly<Record<string, string>>> => {
  const { type, credentials_file } = authorization;
  if (credentials_file !== '') {
    return { authorization: `${type} ${(await readFile(credentials_file, 'utf8')).trim()}` };
  }
  const { username, password } = new URL(url);
  if (username === '' && password === '') return {};
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
};

const withoutUser = (url: string): URL => {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare;
};

/** Without the password that may stand in it; otherwise as it was given. */
export const shownUrl = (url: string): string => {
  if (!URL.canParse(url)) return 'what is no URL';
  const { username, password } = new URL(url);
  return username === '' && password === '' ? url : withoutUser(url).href;
};
