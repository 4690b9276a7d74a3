/** Settings of the index in Bigtable and of its tables, under Loki's names. */
import { z } from 'zod';
import { duration, flag, text } from './config-values.ts';
import { durationText } from './protocol/limit-values.ts';
import { OWN_TABLES } from './storage/own-tables.ts';

/** `storage_config.bigtable`. Credentials are not configured: they come from where Google's libraries look for them. */
export const bigtable = z.strictObject({
  project: text('the id of a project, or nothing', /^([a-z0-9][a-z0-9.:-]{0,62})?$/).prefault(''),
  instance: text('the id of an instance, or nothing', /^([a-z0-9][a-z0-9-]{0,62})?$/).prefault(''),
  /** With single-cluster routing and single-row transactions; nothing: the instance's default. */
  app_profile_id: text('the id of an app profile, or nothing', /^[A-Za-z0-9_.-]{0,64}$/).prefault(''),
  /** How old the list of tables may be that queries skip days by. The first rows of a day that no table was made for ahead wait for so long. */
  table_cache_expiration: duration({ min: '0s', max: '10m' }).prefault('15s'),
});

/** Tables of the index are made ahead and, if wanted, dropped whole. */
export const tableManager = z.strictObject({
  retention_deletes_enabled: flag().prefault(false),
  /** A multiple of the periods of the tables. */
  retention_period: duration({ min: '0s', max: '10000d' }).prefault('0s'),
  creation_grace_period: duration({ min: '1m', max: '30d' }).prefault('10m'),
  poll_interval: duration({ min: '1s', max: '1d' }).prefault('2m'),
});

/** Settings that are durations: printed as such. */
export const BIGTABLE_DURATION_KEYS = [
  'table_cache_expiration',
  'retention_period',
  'creation_grace_period',
  'poll_interval',
] as const;

/** A name of a table has 50 characters at most, the number of its period among them. */
const TABLE_PREFIX = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}$/;

interface BigtableSettings {
  readonly schema_config: {
    readonly configs: readonly {
      readonly store?: string | undefined;
      readonly index: { readonly prefix: string; readonly period: number };
    }[];
  };
  readonly storage_config: { readonly bigtable: z.output<typeof bigtable> };
  readonly table_manager: z.output<typeof tableManager>;
}

/** What is wrong with the settings of the index in Bigtable together. */
export const bigtableProblems = ({
  schema_config,
  storage_config,
  table_manager,
}: BigtableSettings): readonly string[] => {
  const problems: string[] = [];
  const { retention_deletes_enabled: isDropping, retention_period: retention } = table_manager;
  for (const [index, { store, index: tables }] of schema_config.configs.entries()) {
    if (!store?.startsWith('bigtable')) continue;
    const place = `schema_config.configs[${index}]`;
    for (const name of ['project', 'instance'] as const) {
      if (storage_config.bigtable[name] !== '') continue;
      problems.push(`storage_config.bigtable.${name}: got "", want the id of one, for ${place}.store: ${store}`);
    }
    if (!TABLE_PREFIX.test(tables.prefix)) {
      problems.push(
        `${place}.index.prefix: got "${tables.prefix}", want 1 to 40 letters, digits or _ . - that begin with none of . -: Bigtable takes no other names`,
      );
    }
    const own = OWN_TABLES.find((table) => table.startsWith(tables.prefix));
    if (own !== undefined) {
      problems.push(`${place}.index.prefix: got "${tables.prefix}", want one that ${own} does not begin with`);
    }
    if (!isDropping || tables.period === 0 || (retention > 0 && retention % tables.period === 0)) continue;
    problems.push(
      `table_manager.retention_period: got ${durationText(retention)}, want a multiple of ${place}.index.period, which is ${durationText(tables.period)}`,
    );
  }
  return [...new Set(problems)];
};
