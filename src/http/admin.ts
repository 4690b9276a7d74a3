import type { NodeServices } from '../actors/node-services.ts';
import { parseExpr } from '../logql/parser.ts';
import { prettyExpr } from '../logql/pretty.ts';
import { RefusedError } from '../protocol/refusal.ts';
import type { EdgeState } from './form.ts';
import { readForm } from './form.ts';
import { jsonString } from './json-text.ts';
import type { Handler } from './routes.ts';

/** The Loki whose API this is: Grafana unlocks features by it. */
export const LOKI_VERSION = '3.7.0';
const LOG_LEVELS = new Set(['debug', 'info', 'warn', 'error']);

/** Endpoints for operators and for clients that ask what they talk to. None needs a tenant. */
export class AdminHandlers {
  readonly #services: NodeServices;
  readonly #state: EdgeState;

  constructor(services: NodeServices, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly ready: Handler = ({ reply }) => {
    const reason = this.#state.options.notReady() ?? this.#services.notReady();
    return reason === undefined ? reply.text(200, 'ready\n') : reply.text(503, `${reason}\n`);
  };

  readonly metrics: Handler = async ({ reply }) => {
    const { registry } = this.#state.options.metrics;
    await reply.text(200, await registry.metrics(), registry.contentType);
  };

  readonly flush: Handler = async ({ reply }) => {
    await this.#services.flush();
    await reply.empty(204);
  };

  readonly buildInfo: Handler = ({ reply }) =>
    reply.json(
      200,
      JSON.stringify({
        version: LOKI_VERSION,
        revision: 'ringlog',
        branch: '',
        buildUser: '',
        buildDate: '',
        goVersion: '',
      }),
    );

  readonly config: Handler = ({ reply }) => reply.text(200, this.#state.options.configText());

  readonly services: Handler = ({ reply }) => {
    const state = (this.#state.options.notReady() ?? this.#services.notReady()) === undefined ? 'Running' : 'Starting';
    const names = ['server', 'distributor', 'ingester', 'querier', 'store'];
    return reply.text(200, names.map((name) => `${name} => ${state}\n`).join(''));
  };

  readonly formatQuery: Handler = async (exchange) => {
    const form = await readForm(exchange, this.#state.bodies);
    try {
      const text = prettyExpr(parseExpr(form.get('query') ?? ''));
      await exchange.reply.json(200, `{"status":"success","data":${jsonString(text)}}`);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      await exchange.reply.json(400, `{"status":"invalid-query","error":${jsonString(error.refusal.text)}}`);
    }
  };

  readonly logLevel: Handler = async (exchange) => {
    const { logLevel } = this.#state.options;
    if (exchange.request.method === 'GET') {
      await exchange.reply.json(200, `{"message":${jsonString(`Current log level is ${logLevel.get()}`)}}`);
      return;
    }
    const form = await readForm(exchange, this.#state.bodies);
    const level = form.get('log_level') ?? '';
    if (!LOG_LEVELS.has(level)) {
      const message = jsonString(`unrecognized log level ${JSON.stringify(level)}`);
      await exchange.reply.json(400, `{"status":"failed","message":${message}}`);
      return;
    }
    logLevel.set(level);
    await exchange.reply.json(200, `{"status":"success","message":"Log level set to ${level}"}`);
  };
}
