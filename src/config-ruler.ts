/** Settings of what evaluates rules, under Loki's names where it has them. */
import { z } from 'zod';
import { duration, flag, oneOf, text, wholeNumber } from './config-values.ts';

const anyText = () => text('a text, or nothing', /^.*$/);
const httpUrl = () => text('a URL, or nothing', /^(https?:\/\/\S+)?$/);
const texts = () => z.record(z.string(), text('a text', /^.*$/));

/** Taken, so that Loki's configuration can be used: they have no meaning here. */
const unused = () => z.unknown().optional();

const authorization = {
  type: text('a word', /^\S+$/).prefault('Bearer'),
  /** Read again for each request. */
  credentials_file: text('the name of a file, or nothing', /^.*$/).prefault(''),
};

const remoteWriteClient = z.strictObject({
  url: text('a URL', /^https?:\/\/\S+$/),
  name: anyText().prefault(''),
  headers: texts().prefault({}),
  remote_timeout: duration({ min: '100ms', max: '10m' }).prefault('30s'),
  authorization: z.strictObject(authorization).prefault({}),
  queue_config: z
    .strictObject({
      /** Samples of a tenant that may wait; beyond it the oldest go. */
      capacity: wholeNumber(1, 10_000_000).prefault(10_000),
      max_samples_per_send: wholeNumber(1, 100_000).prefault(2_000),
      min_backoff: duration({ min: '1ms', max: '1h' }).prefault('30ms'),
      max_backoff: duration({ min: '1ms', max: '1h' }).prefault('5s'),
      retry_on_http_429: flag().prefault(true),
      min_shards: unused(),
      max_shards: unused(),
      batch_send_deadline: unused(),
      sample_age_limit: unused(),
    })
    .prefault({}),
});

export const ruler = z.strictObject({
  /** This node evaluates rules. The API answers all the same, and other nodes of the cluster evaluate. */
  enabled: flag().prefault(true),
  /** Rules may be asked for and changed over HTTP. */
  enable_api: flag().prefault(true),
  /** Of Grafana: where links in alerts lead. */
  external_url: httpUrl().prefault(''),
  datasource_uid: anyText().prefault(''),
  /** Of every alert, unless it has its own. */
  external_labels: texts().prefault({}),
  /** Of groups that say nothing of their own. */
  evaluation_interval: duration({ min: '1s', max: '30d' }).prefault('1m'),
  /** How often all nodes look for rules that were changed elsewhere; a change over HTTP is told to them at once. */
  poll_interval: duration({ min: '1s', max: '1d' }).prefault('1m'),
  storage: z
    .strictObject({
      /** Nothing: objects in the chunk store. local: files that somebody else writes, the same on all nodes. */
      type: oneOf(['', 'local']).prefault(''),
      local: z.strictObject({ directory: anyText().prefault('') }).prefault({}),
    })
    .prefault({}),
  /** Several with commas between: each hears of all alerts. */
  alertmanager_url: text(
    'URLs with commas between, or nothing',
    /^(https?:\/\/[^\s,]+(\s*,\s*https?:\/\/[^\s,]+)*)?$/,
  ).prefault(''),
  /** Loki's; no other version is spoken. */
  enable_alertmanager_v2: z
    .unknown()
    .refine((value) => value === true || value === 'true', 'want true')
    .prefault(true),
  alertmanager_client: z.strictObject(authorization).prefault({}),
  notification_queue_capacity: wholeNumber(1, 1_000_000).prefault(10_000),
  notification_timeout: duration({ min: '100ms', max: '10m' }).prefault('10s'),
  resend_delay: duration({ min: '1s', max: '30d' }).prefault('1m'),
  remote_write: z
    .strictObject({
      enabled: flag().prefault(false),
      add_org_id_header: flag().prefault(true),
      client: remoteWriteClient.optional(),
      /** By name, beside `client`. */
      clients: z.record(z.string(), remoteWriteClient).prefault({}),
      config_refresh_period: unused(),
    })
    .prefault({}),
  evaluation: z
    .strictObject({
      mode: oneOf(['local']).prefault('local'),
      /** Rules of this node that are evaluated at a time; tenants take turns. */
      max_concurrent: wholeNumber(1, 1_000).prefault(4),
      max_jitter: unused(),
    })
    .prefault({}),
  /** Tenants with commas between; nothing: all. */
  enabled_tenants: anyText().prefault(''),
  disabled_tenants: anyText().prefault(''),
  rule_path: unused(),
  wal: unused(),
  wal_cleaner: unused(),
  ring: unused(),
  enable_sharding: unused(),
  sharding_strategy: unused(),
  sharding_algo: unused(),
  flush_period: unused(),
  search_pending_for: unused(),
  for_outage_tolerance: unused(),
  for_grace_period: unused(),
});

export type RulerSettings = z.output<typeof ruler>;

export const RULER_DURATION_KEYS = [
  'evaluation_interval',
  'poll_interval',
  'notification_timeout',
  'resend_delay',
  'remote_timeout',
  'min_backoff',
  'max_backoff',
] as const;

export const rulerProblems = ({ ruler: settings }: { readonly ruler: RulerSettings }): readonly string[] => {
  const { remote_write, storage } = settings;
  const problems: string[] = [];
  const hasClient = remote_write.client !== undefined || Object.keys(remote_write.clients).length > 0;
  if (remote_write.enabled && !hasClient) {
    problems.push('ruler.remote_write.client.url: got nothing, want a URL: remote_write is enabled');
  }
  if (storage.type === 'local' && storage.local.directory === '') {
    problems.push('ruler.storage.local.directory: got "", want the name of a folder: the type is local');
  }
  return problems;
};
