import { expect } from 'chai';
import { ConfigError, configYaml, loadConfig } from '../../src/config.ts';

const fileOf = (text: string) => ({ name: 'ringlog.yaml', text });

const problemsOf = (sources: Parameters<typeof loadConfig>[0]): readonly string[] => {
  try {
    loadConfig(sources);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('loadConfig', () => {
  it("has Loki's defaults where Loki has the setting", () => {
    const { ingester, schema, limits } = loadConfig({});
    expect(ingester).to.deep.include({
      chunk_block_size: 262_144,
      chunk_target_size: 1_572_864,
      chunk_idle_period: 1_800_000,
      max_chunk_age: 7_200_000,
      flush_check_period: 30_000,
    });
    expect(schema[0]).to.deep.include({ schema: 'v13', prefix: 'index_', periodHours: 168 });
    expect(limits.limitsFor('anyone').maxGlobalStreamsPerUser).to.equal(5000);
  });

  it('takes flags over the environment over the file', () => {
    const file = fileOf('http_listen: 127.0.0.1:1\nlog_level: warn\ningester:\n  chunk_idle_period: 1m\n');
    const env = { RINGLOG_HTTP_LISTEN: '127.0.0.1:2', RINGLOG_LOG_LEVEL: 'error', RINGLOG_INGESTER_GZIP_LEVEL: '6' };
    const config = loadConfig({ file, env, flags: { http_listen: '127.0.0.1:3' } });
    expect(config.http_listen).to.equal('127.0.0.1:3');
    expect(config.log_level).to.equal('error');
    expect(config.ingester).to.deep.include({ chunk_idle_period: 60_000, gzip_level: 6 });
  });

  it('reads limits of all tenants and of each, under the names Loki gives them', () => {
    const file = fileOf('limits:\n  max_line_size: 1KB\noverrides:\n  team-a:\n    max_line_size: 2KB\n');
    const { limits } = loadConfig({ file, env: { RINGLOG_LIMITS_MAX_QUERY_SERIES: '7' } });
    expect(limits.limitsFor('anyone').maxLineBytes).to.equal(1024);
    expect(limits.limitsFor('team-a').maxLineBytes).to.equal(2048);
    expect(limits.limitsFor('team-a').maxQuerySeries).to.equal(7);
  });

  it('names every problem: the key, the value and what is allowed', () => {
    const text = [
      'ingester:',
      '  chunk_block_size: lots',
      '  gzip_level: 12',
      '  chunk_ilde_period: 3m',
      'auth_enabled: perhaps',
      'querier: 7',
      'limits:',
      '  max_line_size: wide',
      'colour: blue',
    ].join('\n');
    expect(problemsOf({ file: fileOf(text) })).to.have.members([
      'ingester.chunk_block_size: got "lots", want a size (bytes, or a number with KB, MB, GB) from 1KB to 4MB',
      'ingester.gzip_level: got 12, want a whole number from 1 to 9',
      'ingester.chunk_ilde_period: no such setting',
      'auth_enabled: got "perhaps", want true or false',
      'querier: got 7, want keys and values',
      'limits.max_line_size: got "wide", want a size: a number of bytes, or such as 256KB, 3MB',
      'colour: no such setting',
    ]);
  });

  it('names what is wrong with overrides', () => {
    const text = 'limits: 3\noverrides: {ok: 3, list: [1], none: , a/b: {}, "": {max_query_series: x}}\n';
    expect(problemsOf({ file: fileOf(text) })).to.deep.equal([
      'limits: got 3, want keys and values',
      'overrides.ok: got 3, want keys and values',
      'overrides.list: got [1], want keys and values',
      "overrides: tenant ID 'a/b' contains unsupported character '/'",
      'overrides: tenant ID is empty',
      'overrides..max_query_series: got "x", want a whole number, 0 or more',
    ]);
    expect(problemsOf({ file: fileOf('overrides: 3\n') })).to.deep.equal([
      'overrides: got 3, want tenants with their limits',
    ]);
  });

  it('names the period of the schema that is wrong', () => {
    const text =
      'schema_config:\n  configs:\n    - {from: 2024-01-01, schema: v13}\n    - {from: 2023-01-01, schema: v12}\n';
    expect(problemsOf({ file: fileOf(text) }).join()).to.match(
      /schema_config\.configs\[1\]\.from: 2023-01-01 is not after/,
    );
  });

  it('refuses a variable that names no setting, and ignores what does not begin with RINGLOG_', () => {
    expect(problemsOf({ env: { RINGLOG_HTTP_LISTN: 'x', HOME: '/root' } })).to.deep.equal([
      'RINGLOG_HTTP_LISTN: no such setting',
    ]);
  });

  it('refuses a file that is no YAML, naming it', () => {
    expect(problemsOf({ file: fileOf('a: [1\nb: 2') })).to.deep.equal([
      'ringlog.yaml: Flow sequence in block collection must be sufficiently indented and end with a ] at line 2, column 1:\n' +
        '  a: [1\n' +
        '  b: 2\n' +
        '  ^',
    ]);
    expect(problemsOf({ file: fileOf('- 1') })).to.deep.equal(['ringlog.yaml: want keys and values, got [1]']);
  });

  it('refuses a variable whose value is no YAML, naming it', () => {
    expect(problemsOf({ env: { RINGLOG_HTTP_LISTEN: '[1' } })[0]).to.match(/^RINGLOG_HTTP_LISTEN: Flow sequence/);
  });

  it('takes an empty file', () => {
    expect(problemsOf({ file: fileOf('# nothing\n') })).to.deep.equal([]);
  });

  it('refuses addresses that cannot be listened on', () => {
    expect(problemsOf({ flags: { http_listen: '127.0.0.1:99999' } })).to.deep.equal([
      'http_listen: got "127.0.0.1:99999", want an address as host:port, port 0 to 65535, or off',
    ]);
    expect(problemsOf({ flags: { http_listen: '[::1]:0', grpc_listen: 'off' } })).to.deep.equal([]);
  });
});

describe('the linger', () => {
  const problems = (cluster: object, server: object = {}) =>
    problemsOf({ flags: { cluster: { enabled: true, ...cluster }, server } });

  it('fits into the time of a drain, by default too', () => {
    expect(problems({})).to.deep.equal([]);
    expect(problems({ linger: '20s' }, { graceful_shutdown_timeout: '40s' })).to.deep.equal([]);
    expect(problems({ linger: '20s' })).to.deep.equal([
      'cluster.linger: got 20s, want at most half of server.graceful_shutdown_timeout, which is 30s: a drain takes a linger at least',
    ]);
    expect(problemsOf({ flags: { server: { graceful_shutdown_timeout: '1s' } } })).to.deep.equal([]);
  });

  it('is longer than what a query takes to ask all members, but for tests', () => {
    expect(problems({ linger: '10s' })).to.deep.equal([]);
    expect(problems({ linger: '9s' })).to.deep.equal([
      'cluster.linger: got 9s, want 10s or more: a query that runs for longer would miss what moves (tests: cluster.unsafe_short_linger)',
    ]);
    expect(problems({ linger: '1s', unsafe_short_linger: true })).to.deep.equal([]);
  });
});

describe('the chunk store', () => {
  const problems = (stores: readonly (string | undefined)[], gcs: object) =>
    problemsOf({
      flags: {
        schema_config: {
          configs: stores.map((store, index) => ({ from: `202${index}-01-01`, schema: 'v13', object_store: store })),
        },
        storage_config: { gcs },
      },
    });

  it('is a bucket where the periods say so, which needs a name', () => {
    expect(problems(['gcs'], { bucket_name: 'my-chunks.example.com' })).to.deep.equal([]);
    expect(problems(['gcs'], {})).to.deep.equal([
      'storage_config.gcs.bucket_name: got "", want the name of a bucket, for object_store: gcs',
    ]);
    expect(problems(['filesystem', undefined], {})).to.deep.equal([]);
  });

  it('is shared by all nodes of a cluster, as the index is', () => {
    const cluster = { enabled: true, node_id: 'a', listen: '127.0.0.1:9', membership: { socket: '/tmp/s' } };
    const inGcs = (store: string, store_dir: string) =>
      problemsOf({
        flags: {
          schema_config: { configs: [{ from: '2020-01-01', schema: 'v13', object_store: 'gcs', store }] },
          storage_config: { gcs: { bucket_name: 'chunks' }, bigtable: { project: 'p', instance: 'i' } },
          cluster,
          store_dir,
        },
      });
    expect(inGcs('bigtable', '')).to.deep.equal([]);
    expect(inGcs('lmdb', '/shared')).to.deep.equal([]);
    expect(inGcs('lmdb', '')).to.deep.equal([
      'store_dir: got "", want a folder that all nodes of the cluster share, for the index of a period with store: lmdb',
    ]);
  });

  it('is one for all periods', () => {
    expect(problems([undefined, 'gcs', 'gcs'], { bucket_name: 'chunks' })).to.deep.equal([
      'schema_config.configs[1].object_store: got "gcs", want "filesystem" as before: all chunks lie in one store',
      'schema_config.configs[2].object_store: got "gcs", want "filesystem" as before: all chunks lie in one store',
    ]);
  });

  it('is one that there is, with settings that can be', () => {
    expect(problems(['s3'], {})).to.deep.equal([
      'schema_config.configs[0].object_store: got "s3", want one of filesystem, gcs',
    ]);
    expect(problems(['gcs'], { bucket_name: 'UPPER', api_endpoint: 'host:1', request_timeout: '0s' })).to.deep.equal([
      'storage_config.gcs.bucket_name: got "UPPER", want the name of a bucket, or nothing',
      'storage_config.gcs.api_endpoint: got "host:1", want a URL as https://host, or nothing',
      'storage_config.gcs.request_timeout: got "0s", want a duration (such as 500ms, 30s, 1h30m) from 10ms to 1h',
    ]);
  });

  it('is set in the environment too', () => {
    const env = { RINGLOG_STORAGE_CONFIG_GCS_BUCKET_NAME: 'chunks' };
    expect(loadConfig({ env }).storage_config.gcs).to.deep.include({ bucket_name: 'chunks', request_timeout: 20_000 });
  });
});

describe('the index store', () => {
  const problems = (stores: readonly object[], settings: object = {}) =>
    problemsOf({
      flags: {
        schema_config: {
          configs: stores.map((store, index) => ({ from: `202${index}-01-01`, schema: 'v13', ...store })),
        },
        ...settings,
      },
    });
  const bigtable = { storage_config: { bigtable: { project: 'my-project', instance: 'logs' } } };

  it('is in Bigtable where a period says so, which needs a project and an instance', () => {
    expect(problems([{}, { store: 'bigtable-hashed' }], bigtable)).to.deep.equal([]);
    expect(problems([{}, { store: 'bigtable-hashed' }])).to.deep.equal([
      'storage_config.bigtable.project: got "", want the id of one, for schema_config.configs[1].store: bigtable-hashed',
      'storage_config.bigtable.instance: got "", want the id of one, for schema_config.configs[1].store: bigtable-hashed',
    ]);
    expect(problems([{ store: 'tsdb' }])).to.deep.equal([
      'schema_config.configs[0].store: got "tsdb", want one of lmdb, bigtable, bigtable-hashed',
    ]);
  });

  it("has tables that Loki's table manager does not take for its own", () => {
    expect(problems([{ store: 'bigtable', index: { prefix: 'ring' } }], bigtable)).to.deep.equal([
      'schema_config.configs[0].index.prefix: got "ring", want one that ringlog-commits does not begin with',
    ]);
    expect(problems([{ index: { prefix: 'ring' } }])).to.deep.equal([]);
    for (const prefix of ['-a', '.a', 'a'.repeat(41)]) {
      expect(problems([{ store: 'bigtable', index: { prefix } }], bigtable)[0]).to.include(
        `index.prefix: got "${prefix}"`,
      );
      expect(problems([{ index: { prefix } }])).to.deep.equal([]);
    }
  });

  it('drops whole tables', () => {
    const retention = (retention_period: string) =>
      problems([{}, { store: 'bigtable' }], {
        ...bigtable,
        table_manager: { retention_deletes_enabled: true, retention_period },
      });
    expect(retention('28d')).to.deep.equal([]);
    for (const wrong of ['0s', '10d']) {
      expect(retention(wrong)).to.deep.equal([
        `table_manager.retention_period: got ${wrong}, want a multiple of schema_config.configs[1].index.period, which is 1w`,
      ]);
    }
  });

  it('is set in the environment too', () => {
    const env = { RINGLOG_STORAGE_CONFIG_BIGTABLE_INSTANCE: 'logs', RINGLOG_TABLE_MANAGER_POLL_INTERVAL: '1m' };
    const config = loadConfig({ env });
    expect(config.storage_config.bigtable.instance).to.equal('logs');
    expect(config.table_manager.poll_interval).to.equal(60_000);
  });

  it('names the store of each period', () => {
    const { schema } = loadConfig({
      flags: {
        ...bigtable,
        schema_config: {
          configs: [
            { from: '2020-01-01', schema: 'v11' },
            { from: '2021-01-01', schema: 'v12', store: 'bigtable', index: { prefix: 'loki_', period: '24h' } },
          ],
        },
      },
    });
    expect(schema.map(({ store, tablePrefix, prefix }) => [store, tablePrefix, prefix])).to.deep.equal([
      ['lmdb', 'lmdb:index_', 'index_'],
      ['bigtable', 'bigtable:loki_', 'loki_'],
    ]);
  });
});

describe('configYaml', () => {
  it('prints a configuration that reads back as the same', () => {
    const text =
      'ingester: {max_chunk_age: 90m, chunk_target_size: 1MB}\nstorage_config: {gcs: {bucket_name: chunks, call_timeout: 90s}}\ntable_manager: {creation_grace_period: 20m}\noverrides: {team-a: {max_line_size: 2KB}}\n';
    const config = loadConfig({ file: fileOf(text) });
    const again = loadConfig({ file: fileOf(configYaml(config)) });
    expect(again).to.deep.equal(config);
    expect(configYaml(config)).to.match(/max_chunk_age: 1h30m/);
  });

  describe('with a schema whose chunks keep no structured metadata', () => {
    const schema_config = { configs: [{ from: '2020-01-01', schema: 'v12' }] };

    it('takes none, as Loki would have it set', () => {
      const { limits } = loadConfig({ flags: { schema_config, overrides: { a: { max_line_size: '1KB' } } } });
      expect(limits.limitsFor('a').allowStructuredMetadata).to.equal(false);
      expect(limits.limitsFor('b').allowStructuredMetadata).to.equal(false);
    });

    it('refuses to run where it is told to take some: it would be gone once its chunk is stored', () => {
      for (const [where, settings] of [
        ['limits', { limits: { allow_structured_metadata: true } }],
        ['overrides.a', { overrides: { a: { allow_structured_metadata: true } } }],
      ] as const) {
        const text = `${where}.allow_structured_metadata: got true, want false with schema v12: structured metadata needs v13`;
        expect(() => loadConfig({ flags: { schema_config, ...settings } })).to.throw(text);
      }
    });

    it('takes some once a later period is in force', () => {
      const configs = [...schema_config.configs, { from: '2021-01-01', schema: 'v13' }];
      const { limits } = loadConfig({ flags: { schema_config: { configs } } });
      expect(limits.limitsFor('a').allowStructuredMetadata).to.equal(true);
    });
  });
});
