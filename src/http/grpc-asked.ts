/** What clients of logproto.Querier ask, read. */
import { decodeQuerierRequest, type QuerierMessage, type QuerierRequest } from '../protocol/querier-messages.ts';
import type { AskedBounds } from './asked-range.ts';
import { type EdgeOptions, nowNsOf, startingError } from './edge-options.ts';
import { encodingFlagsOf, requireSingleTenant } from './form.ts';
import { tenantMetadata, type UnaryCall } from './grpc-call.ts';

/** About the last hour where the client does not say, as over HTTP. */
export interface Asked extends AskedBounds {
  readonly request: QuerierRequest;
  readonly isCategorized: boolean;
}

type TenantOptions = Pick<EdgeOptions, 'tenantOf' | 'isStarting'>;
type Options = TenantOptions & Pick<EdgeOptions, 'limitsOf' | 'nowMs'>;

const HOUR_NS = 3_600_000_000_000n;

/** @throws RefusedError NO_TENANT, BAD_REQUEST; STORAGE_UNAVAILABLE while the node starts */
export const askingTenant = (options: TenantOptions, call: Pick<UnaryCall, 'metadata'>): string => {
  if (options.isStarting()) throw startingError();
  return requireSingleTenant(options.tenantOf(tenantMetadata(call)));
};

/** @throws RefusedError as askingTenant does */
export const readAsked = (
  options: Options,
  call: Pick<UnaryCall, 'metadata' | 'request'>,
  message: QuerierMessage,
): Asked => {
  const tenant = askingTenant(options, call);
  const flags = encodingFlagsOf(call.metadata.get('x-loki-response-encoding-flags').join(','));
  const request = decodeQuerierRequest(call.request, message);
  const nowNs = nowNsOf(options);
  const { endNs = nowNs, startNs = endNs - HOUR_NS } = request;
  const isCategorized = flags.includes('categorize-labels');
  return { tenant, limits: options.limitsOf(tenant), request, isCategorized, bounds: { startNs, endNs }, nowNs };
};
