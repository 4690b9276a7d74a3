/**
 * Object keys of groups of rules. Each version of a group is an object of its own, since objects never change; the newest is the group:
 *
 *   ringlog-rules/tenant/namespace/group/version     parts percent-encoded; version = ms since 1970 as 12 hex digits, a dash, 8 of chance
 *
 * No part holds a colon, so none of them is the key of a chunk; of no tenant's either, for those have one slash or two.
 */
import { RefusedError } from '../protocol/refusal.ts';
import type { GroupId } from './rule-group.ts';

export interface RuleObject extends GroupId {
  readonly key: string;
  readonly version: string;
}

export const RULES_PREFIX = 'ringlog-rules/';

/** What stores take of a key (Cloud Storage: 1024 bytes). */
const KEY_BYTES_MAX = 1024;
const TIME_DIGITS = 12;
const CHANCE_DIGITS = 8;
const VERSION = /^[0-9a-f]{12}-[0-9a-f]{8}$/;

export const tenantPrefix = (tenant: string): string => `${RULES_PREFIX}${encoded(tenant)}/`;

/** @throws RefusedError BAD_REQUEST if the names are too long for a store, or no text */
export const ruleKey = ({ tenant, namespace, name }: GroupId, version: string): string => {
  const key = `${tenantPrefix(tenant)}${encoded(namespace)}/${encoded(name)}/${version}`;
  if (key.length > KEY_BYTES_MAX) {
    const text = `the names of namespace and group are too long: ${key.length} bytes as they are stored, want at most ${KEY_BYTES_MAX}`;
    throw new RefusedError({ code: 'BAD_REQUEST', text });
  }
  return key;
};

/** undefined for a key of anything else. */
export const parseRuleKey = (key: string): RuleObject | undefined => {
  if (!key.startsWith(RULES_PREFIX)) return undefined;
  const parts = key.slice(RULES_PREFIX.length).split('/');
  const [tenant, namespace, name] = parts.map(decoded);
  const version = parts[3] ?? '';
  if (parts.length !== 4 || !tenant || !namespace || !name || !VERSION.test(version)) return undefined;
  return { key, tenant, namespace, name, version };
};

/** Later in order than `before`, and as a rule than what is written elsewhere meanwhile. @param chance in [0, 1) */
export const versionAfter = (before: string | undefined, nowMs: number, chance: number): string => {
  const beforeMs = before === undefined ? -1 : Number.parseInt(before.slice(0, TIME_DIGITS), 16);
  const ms = Math.max(Math.trunc(nowMs), beforeMs + 1);
  const drawn = Math.floor(chance * 2 ** 32);
  return `${ms.toString(16).padStart(TIME_DIGITS, '0')}-${drawn.toString(16).padStart(CHANCE_DIGITS, '0')}`;
};

const encoded = (part: string): string => {
  try {
    return encodeURIComponent(part);
  } catch (error) {
    throw new RefusedError({ code: 'BAD_REQUEST', text: 'the name is no text' }, { cause: error });
  }
};

const decoded = (part: string): string | undefined => {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
};
