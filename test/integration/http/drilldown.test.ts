/** What Grafana's Logs Drilldown asks of a node with Loki's defaults. */
import { expect } from 'chai';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { TestServer } from './test-server.ts';

describe('a node that Logs Drilldown asks', function () {
  this.timeout(60_000);
  let server: TestServer;
  const startMs = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;
  const range = { start: `${startMs / 1000}`, end: `${startMs / 1000 + 600}` };
  const ask = async (path: string, parameters: Record<string, string> = {}): Promise<unknown> => {
    const { status, text } = await server.ask(
      `/loki/api/v1/${path}?${new URLSearchParams({ ...range, ...parameters })}`,
    );
    expect(status, text).to.equal(200);
    return JSON.parse(text);
  };

  before(async () => {
    server = await TestServer.start({
      limits: { discover_service_name: DEFAULT_LIMITS.discoverServiceName, discover_log_levels: true },
    });
    const entries = Array.from({ length: 30 }, (_, index) => ({
      timeNs: BigInt(startMs + index * 1000) * 1_000_000n,
      line: `level=${index % 3 === 0 ? 'error' : 'info'} msg="took ${index} ms"`,
    }));
    expect((await server.pushProto('{app="shop"}', entries)).status).to.equal(204);
  });
  after(() => server.stop());

  it('knows services by their volume', async () => {
    const volume = await ask('index/volume', { query: '{service_name=~".+"}', limit: '5000' });
    expect(volume).to.have.nested.property('data.result[0].metric.service_name', 'shop');
    expect(volume).to.have.nested.property('data.resultType', 'vector');
  });

  it('gives volumes over time as a matrix', async () => {
    const volume = await ask('index/volume_range', { query: '{service_name="shop"}', step: '10s' });
    expect(volume).to.have.nested.property('data.resultType', 'matrix');
    expect(volume).to.have.nested.property('data.result[0].values').with.length(3);
  });

  it('knows how much a query would read', async () => {
    expect(await ask('index/stats', { query: '{app="shop"}' })).to.include({ streams: 1, chunks: 1, entries: 30 });
  });

  it('knows labels and fields, and which fields are metadata', async () => {
    expect(await ask('detected_labels')).to.deep.equal({
      detectedLabels: [
        { label: 'app', cardinality: 1 },
        { label: 'service_name', cardinality: 1 },
      ],
    });
    const { fields } = (await ask('detected_fields', { query: '{app="shop"}' })) as { fields: object[] };
    expect(fields).to.deep.include({ label: 'detected_level', type: 'string', cardinality: 2, parsers: null });
    expect(fields).to.deep.include({ label: 'level', type: 'string', cardinality: 2, parsers: ['logfmt'] });
    const values = await ask('detected_field/level/values', { query: '{app="shop"}' });
    expect(values).to.deep.equal({ values: ['info', 'error'], limit: 1000 });
  });

  it('knows patterns of lines by their level', async () => {
    const { data } = (await ask('patterns', { query: '{app="shop"}', step: '60s' })) as { data: object[] };
    expect(data).to.deep.equal([
      { pattern: 'level=info msg="took <_> ms"', level: 'info', samples: [[startMs / 1000, 20]] },
      { pattern: 'level=error msg="took <_> ms"', level: 'error', samples: [[startMs / 1000, 10]] },
    ]);
  });

  it('is told the limits', async () => {
    const told = (await ask('drilldown-limits')) as { limits: object; version: string };
    expect(told.limits).to.include({ max_query_series: 500, max_query_length: '30d1h', volume_enabled: true });
    expect(told).to.include({ pattern_ingester_enabled: true });
    expect(told.limits).not.to.have.property('max_line_size');
    const { status, text } = await server.ask('/config/tenant/v1/limits');
    expect(`${status} ${text}`).to.match(/^200 .*\nmax_query_series: 500\n/s);
  });
});
