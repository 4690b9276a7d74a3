import type { DecodedPush, NodeServices } from '../actors/node-services.ts';
import { releaseMemory } from '../protocol/release-memory.ts';
import { tenantHeader } from './edge-options.ts';
import type { EdgeState } from './form.ts';
import { pushStatusOf } from './refusal-status.ts';
import { InflatedBytes, readBody } from './request-body.ts';
import type { Exchange, Handler } from './routes.ts';

/** All streams share their columns. Only for a push that is settled: one that failed may still be read. */
const releasePush = ({ streams: [first] }: DecodedPush): void => {
  if (!first) return;
  const { bytes, lineOffsets, times } = first.columns;
  for (const part of [bytes, lineOffsets, times]) releaseMemory(part);
};

/** `POST /loki/api/v1/push` and the legacy path. The body's bytes live until the push is settled: streams borrow them. */
export class PushHandlers {
  readonly #services: NodeServices;
  readonly #state: EdgeState;

  constructor(services: NodeServices, state: EdgeState) {
    this.#services = services;
    this.#state = state;
  }

  readonly push: Handler = (exchange) => this.#push(exchange, false);

  readonly legacyPush: Handler = (exchange) => this.#push(exchange, true);

  async #push({ request, reply }: Exchange, isLegacy: boolean): Promise<void> {
    const { options, bodies } = this.#state;
    const tenant = options.tenantOf(tenantHeader(request.headers));
    const body = await readBody(request, options.bodyBytesMax, bodies);
    const memory = new InflatedBytes(bodies);
    try {
      const decoded = await options.decodePush(
        {
          bytes: body.bytes,
          contentType: request.headers['content-type'],
          contentEncoding: request.headers['content-encoding'],
          isLegacy,
          memory,
        },
        tenant,
      );
      const outcome = await this.#services.push(tenant, decoded);
      options.metrics.pushes.count(tenant, decoded, outcome);
      // What ended without an answer may still be read.
      if (outcome.refusal?.code !== 'DEADLINE_EXCEEDED') releasePush(decoded);
      const { refusal } = outcome;
      if (refusal) await reply.refuse(pushStatusOf(refusal), refusal, '\n');
      else await reply.empty(204);
    } finally {
      memory.release();
      body.release();
    }
  }
}
