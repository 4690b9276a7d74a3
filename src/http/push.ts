import type { DecodedPush, NodeServices } from '../actors/node-services.ts';
import { type Refusal, RefusedError } from '../protocol/refusal.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import { type PushBody, tenantHeader } from './edge-options.ts';
import type { EdgeState } from './form.ts';
import { otlpStatusOf, pushStatusOf } from './refusal-status.ts';
import { InflatedBytes, readBody } from './request-body.ts';
import type { Exchange, Handler } from './routes.ts';

/** Streams share their columns. Only for a push that is settled: one that failed may still be read. */
const releasePush = ({ streams }: DecodedPush): void => {
  for (const { bytes, lineOffsets, times } of new Set(streams.map(({ columns }) => columns))) {
    for (const part of [bytes, lineOffsets, times]) releaseMemory(part);
  }
};

type Decode = (body: PushBody, tenant: string) => Promise<DecodedPush> | DecodedPush;

/**
 * `POST /loki/api/v1/push`, the legacy path, and OTLP's `/otlp/v1/logs`. The body's bytes live until the push is settled: streams borrow
 * them.
 */
export class PushHandlers {
  readonly #services: NodeServices;
  readonly #state: EdgeState;

  constructor(services: NodeServices, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly push: Handler = (exchange) => this.#push(exchange, false);

  readonly legacyPush: Handler = (exchange) => this.#push(exchange, true);

  /** As Loki answers: 204 for all that is taken, and errors that OTLP's exporters read. */
  readonly otlp: Handler = async (exchange) => {
    const { options } = this.#state;
    const tenant = this.#tenantOf(exchange);
    const refusal = await this.#settled(exchange, tenant, options.decodeOtlp).catch((error: unknown): Refusal => {
      if (error instanceof RefusedError) return error.refusal;
      options.log.error({ err: error }, 'OTLP export failed');
      return { code: 'INTERNAL', text: (error as Error).message };
    });
    if (refusal) await exchange.reply.refuseOtlp(otlpStatusOf(refusal), refusal);
    else await exchange.reply.empty(204);
  };

  async #push(exchange: Exchange, isLegacy: boolean): Promise<void> {
    const { decodePush } = this.#state.options;
    const decode: Decode = (body, tenant) => decodePush({ ...body, isLegacy }, tenant);
    const refusal = await this.#settled(exchange, this.#tenantOf(exchange), decode);
    if (refusal) await exchange.reply.refuse(pushStatusOf(refusal), refusal, '\n');
    else await exchange.reply.empty(204);
  }

  #tenantOf({ request }: Exchange): string {
    return this.#state.options.tenantOf(tenantHeader(request.headers));
  }

  /** What of the push was refused. @throws RefusedError when nothing of it can be read */
  async #settled({ request }: Exchange, tenant: string, decode: Decode): Promise<Refusal | undefined> {
    const { options, bodies } = this.#state;
    const body = await readBody(request, options.bodyBytesMax, bodies);
    const memory = new InflatedBytes(bodies);
    try {
      const decoded = await decode(
        {
          bytes: body.bytes,
          contentType: request.headers['content-type'],
          contentEncoding: request.headers['content-encoding'],
          memory,
        },
        tenant,
      );
      const outcome = await this.#services.push(tenant, decoded);
      options.metrics.pushes.count(tenant, decoded, outcome);
      // What ended without an answer may still be read.
      if (outcome.refusal?.code !== 'DEADLINE_EXCEEDED') releasePush(decoded);
      return outcome.refusal;
    } finally {
      memory.release();
      body.release();
    }
  }
}
