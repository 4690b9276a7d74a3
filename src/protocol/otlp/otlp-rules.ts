/** A tenant's `otlp_config`: what becomes of each attribute of an OTLP log record (the API specification, 2.3). */
import { RE2JS } from 're2js';

export type AttributeAction = 'index_label' | 'structured_metadata' | 'drop';

/** What the rules say of an attribute by its name as it was sent. */
export type ActionOf = (name: string) => AttributeAction;

export interface OtlpRules {
  readonly ofResource: ActionOf;
  readonly ofScope: ActionOf;
  /** undefined: everything is structured metadata, nothing has to be asked. */
  readonly ofRecord: ActionOf | undefined;
  readonly isSeverityTextLabel: boolean;
}

/** Resource attributes that Loki makes labels of by default. */
const DEFAULT_INDEX_ATTRIBUTES: readonly string[] = [
  ...['service.name', 'service.namespace', 'service.instance.id', 'deployment.environment'],
  ...['deployment.environment.name', 'cloud.region', 'cloud.availability_zone', 'k8s.cluster.name'],
  ...['k8s.namespace.name', 'k8s.pod.name', 'k8s.container.name', 'container.name', 'k8s.replicaset.name'],
  ...['k8s.deployment.name', 'k8s.statefulset.name', 'k8s.daemonset.name', 'k8s.cronjob.name', 'k8s.job.name'],
];

/** One rule as it stands in the configuration: names, or a regex that the whole name must match. */
interface AttributeRule {
  readonly action: AttributeAction;
  readonly attributes?: readonly string[];
  readonly regex?: string;
}

/** `otlp_config` as it stands in the configuration, checked. */
export interface OtlpConfig {
  readonly resource_attributes?: {
    readonly ignore_defaults?: boolean;
    readonly attributes_config?: readonly AttributeRule[];
  };
  readonly scope_attributes?: readonly AttributeRule[];
  readonly log_attributes?: readonly AttributeRule[];
  readonly severity_text_as_label?: boolean;
}

const ACTIONS: readonly string[] = ['index_label', 'structured_metadata', 'drop'] satisfies AttributeAction[];

/** Names come again with every record; what the rules say of one is kept. */
const NAMES_MAX = 4096;

/** Rules are made once for a configuration, however many tenants share it. */
const known = new WeakMap<OtlpConfig, OtlpRules>();

export const otlpRulesOf = (config: OtlpConfig): OtlpRules => {
  const rules = known.get(config) ?? rulesOf(config);
  known.set(config, rules);
  return rules;
};

/** Reads `otlp_config`; undefined when it is not one. Null and nothing are the defaults. */
export const readOtlpConfig = (input: unknown): OtlpConfig | undefined => {
  const config = input ?? {};
  if (!hasOnly(config, ['resource_attributes', 'scope_attributes', 'log_attributes', 'severity_text_as_label'])) {
    return undefined;
  }
  const resource = config['resource_attributes'] ?? {};
  if (!hasOnly(resource, ['ignore_defaults', 'attributes_config'])) return undefined;
  const isRead =
    isFlag(resource['ignore_defaults']) &&
    isFlag(config['severity_text_as_label']) &&
    isRules(resource['attributes_config']) &&
    isRules(config['log_attributes']) &&
    isRules(config['scope_attributes'], 'index_label');
  return isRead ? (config as OtlpConfig) : undefined;
};

type Keys = Readonly<Record<string, unknown>>;

const hasOnly = (input: unknown, keys: readonly string[]): input is Keys =>
  typeof input === 'object' &&
  input !== null &&
  !Array.isArray(input) &&
  Object.keys(input).every((key) => keys.includes(key));

const isFlag = (input: unknown): boolean => input === undefined || typeof input === 'boolean';

/** `forbidden`: an action that Loki does not take here. */
const isRules = (input: unknown, forbidden?: AttributeAction): boolean => {
  if (input === undefined || input === null) return true;
  return Array.isArray(input) && input.every((rule) => isRule(rule) && rule.action !== forbidden);
};

/** Names or a regex, and one of them at least. */
const isRule = (input: unknown): input is AttributeRule => {
  if (!hasOnly(input, ['action', 'attributes', 'regex']) || !ACTIONS.includes(String(input['action']))) return false;
  const { attributes, regex } = input as { attributes?: unknown; regex?: unknown };
  const hasNames = Array.isArray(attributes) && attributes.length > 0;
  if (attributes !== undefined && !(Array.isArray(attributes) && attributes.every((name) => typeof name === 'string')))
    return false;
  if (regex === undefined || regex === '') return hasNames;
  return typeof regex === 'string' && !hasNames && isRegex(regex);
};

const isRegex = (pattern: string): boolean => {
  try {
    RE2JS.compile(pattern);
    return true;
  } catch {
    return false;
  }
};

const rulesOf = (config: OtlpConfig): OtlpRules => {
  const resource = config.resource_attributes ?? {};
  const defaults: AttributeRule = { action: 'index_label', attributes: DEFAULT_INDEX_ATTRIBUTES };
  const resourceRules = resource.attributes_config ?? [];
  const recordRules = config.log_attributes ?? [];
  return {
    ofResource: firstMatch(resource.ignore_defaults ? resourceRules : [defaults, ...resourceRules]),
    ofScope: firstMatch(config.scope_attributes ?? []),
    ofRecord: recordRules.length > 0 ? firstMatch(recordRules) : undefined,
    isSeverityTextLabel: config.severity_text_as_label ?? false,
  };
};

/** The first rule that names an attribute decides; what none names is structured metadata. */
const firstMatch = (rules: readonly AttributeRule[]): ActionOf => {
  const tests = rules.map(({ action, attributes = [], regex }) => ({ action, matches: testOf(attributes, regex) }));
  const decided = new Map<string, AttributeAction>();
  return (name) => {
    const before = decided.get(name);
    if (before) return before;
    const action = tests.find(({ matches }) => matches(name))?.action ?? 'structured_metadata';
    if (decided.size < NAMES_MAX && name.length <= 128) decided.set(name, action);
    return action;
  };
};

const testOf = (attributes: readonly string[], regex: string | undefined): ((name: string) => boolean) => {
  if (!regex) {
    const names = new Set(attributes);
    return (name) => names.has(name);
  }
  const compiled = RE2JS.compile(regex);
  return (name) => compiled.matches(name);
};
