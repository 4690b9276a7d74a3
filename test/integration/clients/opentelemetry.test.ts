import { type AnyValueMap, SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter as GrpcExporter } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as JsonExporter } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as ProtobufExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider, type LogRecordExporter } from '@opentelemetry/sdk-logs';
import { expect } from 'chai';
import { eventually } from '../../support/eventually.ts';
import { ClientRig, ODD_LINES, type StoredEntry } from './client-rig.ts';

type Results = { code: number; error?: Error & { code?: number } }[];

type Compression = NonNullable<NonNullable<ConstructorParameters<typeof GrpcExporter>[0]>['compression']>;

/** Keeps what exports came to. */
const watched = (exporter: LogRecordExporter, results: Results): LogRecordExporter => ({
  export: (records, done) =>
    exporter.export(records, (result) => {
      results.push(result as Results[number]);
      done(result);
    }),
  shutdown: () => exporter.shutdown(),
  forceFlush: () => exporter.forceFlush(),
});

describe('the OpenTelemetry SDK', function () {
  this.timeout(60_000);
  let rig: ClientRig;
  let results: Results;

  before(async () => {
    rig = await ClientRig.start();
  });
  after(() => rig.stop());
  beforeEach(() => {
    results = [];
  });

  /** Its enum lies in a package that nobody installs by name. */
  const compression = 'gzip' as Compression;
  const exporters: Readonly<Record<string, () => LogRecordExporter>> = {
    'http/json': () => new JsonExporter({ url: `${rig.http}/otlp/v1/logs` }),
    'http/protobuf, gzip': () => new ProtobufExporter({ url: `${rig.http}/otlp/v1/logs`, compression }),
    'grpc, gzip': () => new GrpcExporter({ url: `http://${rig.grpc}`, compression }),
  };
  const baseMs = Date.now() - 60_000;

  for (const [name, exporterOf] of Object.entries(exporters)) {
    const connect = (service: string, batchSize = 100) => {
      const provider = new LoggerProvider({
        resource: resourceFromAttributes({ 'service.name': service, 'service.namespace': 'shop', 'host.name': 'h1' }),
        processors: [
          new BatchLogRecordProcessor({
            exporter: watched(exporterOf(), results),
            maxExportBatchSize: batchSize,
            maxQueueSize: 5000,
            scheduledDelayMillis: 60_000,
            exportTimeoutMillis: 30_000,
          }),
        ],
      });
      return { provider, logger: provider.getLogger('checkout', '1.2.3') };
    };
    const isGrpc = name.startsWith('grpc');
    const service = `otel-${name.replaceAll(/\W+/g, '-')}`;
    const codes = (): number[] => results.map(({ code }) => code);
    const linesOf = (entries: readonly StoredEntry[]): string[] => entries.map(({ line }) => line);

    describe(name, () => {
      it('gets back what it exported in batches: labels, metadata, times, order', async () => {
        const { provider, logger } = connect(service);
        const lines = [...ODD_LINES, ...Array.from({ length: 500 }, (_, index) => `line ${index}`)];
        for (const [index, body] of lines.entries()) {
          logger.emit({
            timestamp: [Math.floor((baseMs + index) / 1000), ((baseMs + index) % 1000) * 1_000_000 + 7],
            observedTimestamp: [Math.floor(baseMs / 1000), 5],
            severityNumber: SeverityNumber.WARN,
            severityText: 'WARN',
            body,
            attributes: { 'http.method': 'GET', 'http.status_code': 200, ratio: 0.25, ok: true, tags: ['a', 'b'] },
          });
        }
        await provider.shutdown();
        expect(new Set(codes())).to.deep.equal(new Set([0]));
        expect(results.length).to.be.above(5);
        const expected = lines.map((line, index) => ({
          labels: { service_name: service, service_namespace: 'shop' },
          metadata: {
            ...{ host_name: 'h1', scope_name: 'checkout', scope_version: '1.2.3' },
            ...{ http_method: 'GET', http_status_code: '200', ratio: '0.25', ok: 'true', tags: '["a","b"]' },
            ...{ severity_number: '13', severity_text: 'WARN' },
            observed_timestamp: `${Math.floor(baseMs / 1000)}000000005`,
          },
          timeNs: `${BigInt(baseMs + index) * 1_000_000n + 7n}`,
          line,
        }));
        expect(await rig.stored(`{service_name="${service}"}`)).to.deep.equal(expected);
      });

      it('gets bodies of any kind back as lines', async () => {
        const { provider, logger } = connect(`${service}-bodies`);
        const bodies: (AnyValueMap | string | number | boolean | Uint8Array | string[])[] = [
          ...['text', 42, 0.5, true, ['a', 'b']],
          { user: { id: 7, name: 'grüße' }, tags: ['x'] },
          Uint8Array.from([1, 2, 3]),
        ];
        for (const [index, body] of bodies.entries()) logger.emit({ timestamp: baseMs + index, body });
        await provider.shutdown();
        const stored = linesOf(await rig.stored(`{service_name="${service}-bodies"}`));
        const map = '{"tags":["x"],"user":{"id":7,"name":"grüße"}}';
        expect(stored).to.deep.equal(['text', '42', '0.5', 'true', '["a","b"]', map, 'AQID']);
      });

      // The SDK tries again over HTTP alone: over gRPC it gives a failed export up, whatever the status says.
      const again = isGrpc ? 'hears that the node is away, and goes on when it is back' : 'loses nothing';
      it(`${again}, while the node is started again`, async () => {
        const { provider, logger } = connect(`${service}-again`);
        const emit = (bodies: readonly string[], firstMs: number): void => {
          for (const [index, body] of bodies.entries()) logger.emit({ timestamp: firstMs + index, body });
        };
        emit(['before'], baseMs);
        await provider.forceFlush();
        rig.goAway();
        emit(['one', 'two', 'three'], baseMs + 1);
        const flushed = provider.forceFlush();
        if (isGrpc) await flushed.catch(() => undefined);
        else await rig.wasTried();
        await rig.comeBack();
        await flushed.catch(() => undefined);
        await eventually('an export to succeed', async () => {
          emit(['after'], baseMs + 4);
          await provider.forceFlush().catch(() => undefined);
          return codes().at(-1) === 0;
        });
        await provider.shutdown();
        const stored = linesOf(await rig.stored(`{service_name="${service}-again"}`));
        if (isGrpc) {
          expect(codes().slice(0, 2)).to.deep.equal([0, 1]);
          expect(stored).to.deep.equal(['before', 'after']);
        } else {
          expect(codes()).to.deep.equal([0, 0, 0]);
          expect(stored).to.deep.equal(['before', 'one', 'two', 'three', 'after']);
        }
      });

      it('hears of an export that is refused', async () => {
        const { provider, logger } = connect(`${service}-old`);
        logger.emit({ timestamp: [1, 0], body: 'old' });
        await provider.shutdown().catch(() => undefined);
        expect(codes()).to.deep.equal([1]);
        const [{ error } = { error: undefined }] = results;
        expect(error?.code).to.equal(isGrpc ? 3 : 400);
      });
    });
  }
});
