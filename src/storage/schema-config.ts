/**
 * Schema periods: from which day on rows and keys look how, and which tables hold them (Loki's `schema_config`). A day belongs to
 * exactly one period; times before the first period belong to the first. Where the periods are in several stores, the names of tables begin with the store's and a
 * colon, since two stores may have tables of the same name: `bigtable:index_2779`. What a store is given is the name alone.
 */

export const SCHEMA_VERSIONS = ['v9', 'v10', 'v11', 'v12', 'v13'] as const;

export type SchemaVersion = (typeof SCHEMA_VERSIONS)[number];

/** Names of index stores as Loki has them, and the embedded one. */
export const INDEX_STORES = ['lmdb', 'bigtable', 'bigtable-hashed'] as const;

export type IndexStoreName = (typeof INDEX_STORES)[number];

export const DAY_MS = 86_400_000;

/** Chosen: keeps table names far below what an embedded key may hold. */
const PREFIX_LENGTH_MAX = 64;

/** Chosen: a lookup reads every shard, so more only costs. */
const ROW_SHARDS_MAX = 1_024;

/** One period as it is configured. */
export interface SchemaPeriodOptions {
  /** First day, `YYYY-MM-DD`, UTC. */
  readonly from: string;
  readonly schema: string;
  /** Name of the index store that has the rows; the embedded one if there is none. */
  readonly store?: string | undefined;
  /** Tables are named prefix + number. */
  readonly prefix: string;
  /** Hours a table spans: a multiple of 24, or 0 for one table named as the prefix. */
  readonly periodHours: number;
  /** Rows of one label and day are spread over this many. v9 has none and ignores it. */
  readonly rowShards: number;
}

export interface SchemaPeriod {
  /** Days since 1970. */
  readonly fromDay: number;
  readonly schema: SchemaVersion;
  readonly store: IndexStoreName;
  readonly prefix: string;
  /** What the names of its tables begin with: `prefix`, behind the store's name if there are several. */
  readonly tablePrefix: string;
  readonly periodHours: number;
  readonly rowShards: number;
}

/** At least one period, ascending. */
export type SchemaConfig = readonly [SchemaPeriod, ...SchemaPeriod[]];

/** What a time range touches of one day: where its rows lie. */
export interface DayBucket {
  readonly period: SchemaPeriod;
  readonly table: string;
  /** Days since 1970. */
  readonly day: number;
  /** End of the range, clipped to the period, in ms since the start of the day; may lie beyond the day. */
  readonly throughInDayMs: number;
}

/** The configuration is wrong: the message names the place, what it holds and what is wanted. */
export class SchemaConfigError extends Error {
  override readonly name = 'SchemaConfigError';
}

/** New installs: v13 (v12's rows and keys, chunks of format v4), a table a week, 16 row shards. */
export const defaultSchemaConfig = (): SchemaConfig =>
  createSchemaConfig([{ from: '2020-01-01', schema: 'v13', prefix: 'index_', periodHours: 168, rowShards: 16 }]);

/** @throws SchemaConfigError */
export const createSchemaConfig = (options: readonly SchemaPeriodOptions[]): SchemaConfig => {
  const validated = options.map(validatedPeriod);
  const isRouted = new Set(validated.map(({ store }) => store)).size > 1;
  const [first, ...rest] = validated.map((period) =>
    isRouted ? { ...period, tablePrefix: tableIn(period.store, period.prefix) } : period,
  );
  if (!first) throw new SchemaConfigError('schema_config.configs: want at least one period');
  const periods: SchemaConfig = [first, ...rest];
  for (let index = 1; index < periods.length; index++) {
    if ((periods[index]?.fromDay ?? 0) > (periods[index - 1]?.fromDay ?? 0)) continue;
    throw new SchemaConfigError(
      `schema_config.configs[${index}].from: ${options[index]?.from} is not after ${options[index - 1]?.from}: want periods in ascending order`,
    );
  }
  return periods;
};

/** The period that holds a time. */
export const periodAt = (config: SchemaConfig, timeMs: number): SchemaPeriod =>
  config[periodIndex(config, dayOf(timeMs))] ?? config[0];

/** 3, or 4 from schema v13 on: 4 keeps structured metadata. Chosen, like the key's form, by the chunk's first ms. */
export const chunkFormatOf = (period: SchemaPeriod): 3 | 4 => (period.schema === 'v13' ? 4 : 3);

/** The table of a day: `index_2779` is 2023-04-06 … 2023-04-12 with 168 hours. */
export const tableOf = (period: SchemaPeriod, day: number): string =>
  period.periodHours === 0 ? period.tablePrefix : period.tablePrefix + tableNumber(period, day).toString();

/** Others may be there, of other programs too. */
export const isIndexTable = (config: SchemaConfig, table: string): boolean =>
  config.some((period) => firstDayOfTable(period, table) !== undefined);

/** The first day of which a table of the schema may have rows; undefined if there is none among these. */
export const firstDayOf = (config: SchemaConfig, tables: Iterable<string>): number | undefined => {
  let first: number | undefined;
  for (const table of tables) {
    for (const period of config) {
      const day = firstDayOfTable(period, table);
      if (day !== undefined && (first === undefined || day < first)) first = day;
    }
  }
  return first;
};

/** undefined if it is no table of the period. Of days before the period it may have rows only if that is the first one. */
const firstDayOfTable = ({ tablePrefix, periodHours, fromDay }: SchemaPeriod, table: string): number | undefined => {
  if (periodHours === 0) return table === tablePrefix ? fromDay : undefined;
  const number = table.startsWith(tablePrefix) ? table.slice(tablePrefix.length) : '';
  return /^\d+$/.test(number) ? (Number(number) * periodHours) / 24 : undefined;
};

/** The name of a store's table among the tables of several stores. */
export const tableIn = (store: IndexStoreName, table: string): string => `${store}:${table}`;

/** The inverse of `tableIn`. */
export const splitTable = (name: string): { readonly store: IndexStoreName; readonly table: string } => {
  const end = name.indexOf(':');
  const store = INDEX_STORES.find((known) => known === name.slice(0, end));
  if (store === undefined) throw new Error(`a table without its store: ${name}`);
  return { store, table: name.slice(end + 1) };
};

const tableNumber = (period: SchemaPeriod, day: number): number =>
  period.periodHours === 0 ? 0 : Math.floor((day * 24) / period.periodHours);

export const dayOf = (timeMs: number): number => Math.floor(timeMs / DAY_MS);

/**
 * The days that [fromMs, throughMs] touches, both ends included. Where the range crosses into another period it is clipped, as if it
 * were one chunk in each: the earlier ends 1 ms before the later begins.
 * @param tables if given, days of other tables are left out: a query may ask for centuries
 */
export const dayBuckets = (
  config: SchemaConfig,
  fromMs: number,
  throughMs: number,
  tables?: ReadonlySet<string>,
): DayBucket[] => {
  const buckets: DayBucket[] = [];
  const lastDay = dayOf(throughMs);
  let [period, number, table] = [config[0], Number.NaN, ''];
  for (let day = dayOf(fromMs); day <= lastDay; day++) {
    const index = periodIndex(config, day);
    const periodOfThis = config[index] ?? config[0];
    const numberOfThis = tableNumber(periodOfThis, day);
    if (periodOfThis !== period || numberOfThis !== number) {
      [period, number, table] = [periodOfThis, numberOfThis, tableOf(periodOfThis, day)];
    }
    if (tables && !tables.has(table)) continue;
    const nextFromMs = (config[index + 1]?.fromDay ?? Number.POSITIVE_INFINITY) * DAY_MS;
    const throughInDayMs = Math.min(throughMs, nextFromMs - 1) - day * DAY_MS;
    buckets.push({ period, table, day, throughInDayMs });
  }
  return buckets;
};

const periodIndex = (config: SchemaConfig, day: number): number => {
  let index = 0;
  while (index + 1 < config.length && (config[index + 1]?.fromDay ?? 0) <= day) index++;
  return index;
};

const validatedPeriod = (options: SchemaPeriodOptions, index: number): SchemaPeriod => {
  const { from, schema, store = 'lmdb', prefix, periodHours, rowShards } = options;
  const demand = (isMet: boolean, field: string, got: unknown, wanted: string): void => {
    if (isMet) return;
    throw new SchemaConfigError(`schema_config.configs[${index}].${field}: got ${JSON.stringify(got)}, want ${wanted}`);
  };
  const fromDay = parsedDay(from);
  demand(fromDay !== undefined, 'from', from, 'a day as YYYY-MM-DD');
  demand(isSchemaVersion(schema), 'schema', schema, `one of ${SCHEMA_VERSIONS.join(', ')}`);
  const storeName = INDEX_STORES.find((known) => known === store);
  demand(storeName !== undefined, 'store', store, `one of ${INDEX_STORES.join(', ')}`);
  demand(
    /^[A-Za-z0-9_.-]+$/.test(prefix) && prefix.length <= PREFIX_LENGTH_MAX,
    'index.prefix',
    prefix,
    `1 to ${PREFIX_LENGTH_MAX} letters, digits or _ . -`,
  );
  const isPeriod = Number.isSafeInteger(periodHours) && periodHours >= 0 && periodHours % 24 === 0;
  demand(isPeriod, 'index.period', `${periodHours}h`, 'a multiple of 24h (0 for a single table)');
  const isShards = Number.isSafeInteger(rowShards) && rowShards >= 1 && rowShards <= ROW_SHARDS_MAX;
  demand(isShards, 'row_shards', rowShards, `a whole number from 1 to ${ROW_SHARDS_MAX}`);
  return {
    fromDay: fromDay ?? 0,
    schema: isSchemaVersion(schema) ? schema : 'v13',
    store: storeName ?? 'lmdb',
    prefix,
    tablePrefix: prefix,
    periodHours,
    rowShards,
  };
};

const isSchemaVersion = (text: string): text is SchemaVersion => SCHEMA_VERSIONS.some((version) => version === text);

/** Days since 1970 of `YYYY-MM-DD`; undefined if there is no such day. Civil-date arithmetic on years that start in March. */
const parsedDay = (text: string): number | undefined => {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (!match) return undefined;
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])];
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const daysInMonth = [31, isLeap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
  if (day < 1 || day > daysInMonth) return undefined;
  const marchYear = month > 2 ? year : year - 1;
  const dayOfMarchYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const leapDays = Math.floor(marchYear / 4) - Math.floor(marchYear / 100) + Math.floor(marchYear / 400);
  return marchYear * 365 + leapDays + dayOfMarchYear - 719_468;
};
