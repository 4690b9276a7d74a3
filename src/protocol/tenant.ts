import { RefusedError } from './refusal.ts';
import { badRequest } from './wire.ts';

/** Says whose a stream is, in answers about several tenants (Loki's API, multi-tenant queries). */
export const TENANT_LABEL = '__tenant_id__';

/** The tenant of everybody when authentication is off. */
const TENANT_WITHOUT_AUTH = 'fake';

const TENANT_BYTES_MAX = 150;
const UNSUPPORTED = /[^a-zA-Z0-9!\-_.*'()]/u;

const SEPARATOR = '|';

/**
 * The tenant of a request, from `X-Scope-OrgID` (HTTP) or `x-scope-orgid` (gRPC). Several tenants (`a|b`) are refused.
 * @throws RefusedError NO_TENANT, BAD_REQUEST with Loki's texts
 */
export const resolveTenant = (header: string | undefined, authEnabled: boolean): string => {
  const tenant = resolveTenants(header, authEnabled);
  if (tenant.includes(SEPARATOR)) throw badRequest('multiple org IDs present');
  return tenant;
};

/** The same where several are allowed: each once, sorted, joined by `|`. @throws RefusedError NO_TENANT, BAD_REQUEST */
export const resolveTenants = (header: string | undefined, authEnabled: boolean): string => {
  if (!authEnabled) return TENANT_WITHOUT_AUTH;
  const tenants = new Set((header ?? '').split(SEPARATOR).filter((tenant) => tenant !== ''));
  for (const tenant of tenants) checkTenant(tenant);
  if (tenants.size === 0) throw new RefusedError({ code: 'NO_TENANT', text: 'no org id' });
  return [...tenants].sort().join(SEPARATOR);
};

/** The tenants of a query. */
export const tenantsOf = (tenant: string): readonly string[] => tenant.split(SEPARATOR);

const checkTenant = (tenant: string): void => {
  const problem = tenantProblem(tenant);
  if (problem !== undefined) throw badRequest(problem);
};

/** Why there can be no tenant of this name, in Loki's words; undefined if there can. */
export const tenantProblem = (tenant: string): string | undefined => {
  if (tenant === '') return 'tenant ID is empty';
  const unsupported = UNSUPPORTED.exec(tenant)?.[0];
  if (unsupported !== undefined) return `tenant ID '${tenant}' contains unsupported character '${unsupported}'`;
  if (tenant.length > TENANT_BYTES_MAX) return `tenant ID is too long: max ${TENANT_BYTES_MAX} characters`;
  if (tenant === '.' || tenant === '..') return "tenant ID is '.' or '..'";
  return undefined;
};
