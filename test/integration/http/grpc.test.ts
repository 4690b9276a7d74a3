import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { expect } from 'chai';
import sinon from 'sinon';
import type { DecodedPush } from '../../../src/actors/node-services.ts';
import { HEALTH_PATH, OTLP_LOGS_PATH, PUSH_PATH } from '../../../src/http/grpc-messages.ts';
import { type GrpcServerOptions, type RunningGrpcServer, startGrpcServer } from '../../../src/http/grpc-server.ts';
import { type BatchOutcome, PushClient } from '../../../src/http/push-client.ts';
import { encodeHttpGrpcStatus, encodePushRequest } from '../../../src/protocol/logproto.ts';
import { decodeOtlpMessage } from '../../../src/protocol/otlp/otlp-body.ts';
import { otlpRulesOf } from '../../../src/protocol/otlp/otlp-rules.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';
import type { Refusal } from '../../../src/protocol/refusal.ts';
import { encodeExport } from '../../support/otlp.ts';
import { refused, StubServices, stubOptions } from './stub-services.ts';

const asIs = (bytes: Buffer): Buffer => bytes;

const BODY_LIMITS = { compressedBytesMax: 2 ** 22, decompressedBytesMax: 2 ** 22 };
const OTLP_MAPPING = { rules: otlpRulesOf({}), nowMs: 0 };

const linesOf = ({ streams }: DecodedPush): readonly string[] =>
  streams.flatMap(({ columns, first, end, labelText }) =>
    Array.from({ length: end - first }, (_, index) => {
      const offset = columns.lineOffsets[first + index] ?? 0;
      const size = columns.bytes[offset] ?? 0;
      const line = Buffer.from(columns.bytes.subarray(offset + 1, offset + 1 + size)).toString();
      return `${Buffer.from(labelText).toString()} ${columns.times[first + index]} ${line}`;
    }),
  );

class CountingServices extends StubServices {
  readonly lines: string[] = [];
  outcomes: (Refusal | undefined)[] = [];
  acceptedLines = 0;

  override async push(tenant: string, push?: DecodedPush) {
    await super.push(tenant);
    const refusal = this.outcomes.shift();
    if (push && !refusal) this.lines.push(...linesOf(push));
    return { acceptedLines: this.acceptedLines, acceptedBytes: 0, refusal };
  }
}

describe('the gRPC server', () => {
  let services: CountingServices;
  let server: RunningGrpcServer;
  let client: Client;

  const start = async (port = 0, overrides: Partial<GrpcServerOptions> = {}): Promise<void> => {
    server = await startGrpcServer(services, {
      ...stubOptions({
        decodePushMessage: (bytes) => ({ streams: decodePushRequest(bytes) }),
        decodeOtlpMessage: (body) => decodeOtlpMessage({ body, limits: BODY_LIMITS }, OTLP_MAPPING),
        tenantOf: (header) => {
          if (!header) throw refused({ code: 'NO_TENANT', text: 'no org id' });
          return header;
        },
      }),
      host: '127.0.0.1',
      port,
      receiveBytesMax: 4 * 1024 * 1024,
      drainMs: 200,
      ...overrides,
    });
  };
  const call = (path: string, bytes: Buffer, tenant: string | undefined = 'a'): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const metadata = new Metadata();
      if (tenant) metadata.set('x-scope-orgid', tenant);
      client.makeUnaryRequest(path, asIs, asIs, bytes, metadata, { deadline: Date.now() + 5000 }, (error, answer) =>
        error ? reject(error) : resolve(answer ?? Buffer.alloc(0)),
      );
    });
  const errorOf = (result: Promise<Buffer>): Promise<ServiceError> =>
    result.then(
      () => {
        throw new Error('no error');
      },
      (error: ServiceError) => error,
    );
  const oneLine = encodePushRequest({ streams: [{ labels: '{a="b"}', entries: [{ timeNs: 5n, line: 'x' }] }] });

  beforeEach(async () => {
    services = new CountingServices();
    await start();
    client = new Client(server.address, credentials.createInsecure());
  });
  afterEach(async () => {
    client.close();
    await server.close();
  });

  it('takes a push as it is', async () => {
    expect(await call(PUSH_PATH, Buffer.from(oneLine))).to.have.length(0);
    expect(services.pushes).to.deep.equal(['a']);
    expect(services.lines).to.deep.equal(['{a="b"} 5 x']);
  });

  it('answers a refusal with the HTTP number and its details', async () => {
    services.outcomes = [{ code: 'RATE_LIMITED', text: 'slöw down', retryAfterMs: 100 }];
    const error = await errorOf(call(PUSH_PATH, Buffer.from(oneLine)));
    expect(error.details).to.equal('slöw down');
    const details = error.metadata.get('grpc-status-details-bin')[0];
    expect(details).to.deep.equal(encodeHttpGrpcStatus(429, 'slöw down'));
  });

  it('answers a body that cannot be read with 400', async () => {
    const error = await errorOf(call(PUSH_PATH, Buffer.from(oneLine.subarray(0, -2))));
    expect(error.details).to.equal('unexpected EOF');
    expect(error.metadata.get('grpc-status-details-bin')[0]).to.deep.equal(encodeHttpGrpcStatus(400, 'unexpected EOF'));
  });

  it('answers UNKNOWN without a tenant', async () => {
    const error = await errorOf(call(PUSH_PATH, Buffer.from(oneLine), ''));
    expect([error.code, error.details]).to.deep.equal([2, 'no org id']);
    expect(error.metadata.get('grpc-status-details-bin')).to.deep.equal([]);
  });

  it('refuses a message over the limit and lives on', async () => {
    const error = await errorOf(call(PUSH_PATH, Buffer.alloc(5 * 1024 * 1024)));
    expect(error.code).to.equal(8);
    await call(PUSH_PATH, Buffer.from(oneLine));
  });

  it('tells its health without a tenant', async () => {
    expect(await call(HEALTH_PATH, Buffer.alloc(0), '')).to.deep.equal(Buffer.from([8, 1]));
    services.reason = 'starting';
    const service = Buffer.concat([Buffer.from([0x0a, 15]), Buffer.from('logproto.Pusher')]);
    expect(await call(HEALTH_PATH, service, '')).to.deep.equal(Buffer.from([8, 2]));
    const unknown = await errorOf(call(HEALTH_PATH, Buffer.from([0x0a, 1, 0x78]), ''));
    expect(unknown.code).to.equal(5);
  });

  describe('taking OTLP', () => {
    const exportOf = (bodies: readonly string[]): Buffer =>
      encodeExport([
        { attributes: { 'service.name': 'shop' }, scopes: [{ records: bodies.map((body) => ({ timeNs: 5n, body })) }] },
      ]);
    const retryInfo = Buffer.from('type.googleapis.com/google.rpc.RetryInfo');

    it('takes an export as it is', async () => {
      expect(await call(OTLP_LOGS_PATH, exportOf(['x', 'y']))).to.have.length(0);
      expect(services.lines).to.deep.equal(['{service_name="shop"} 5 x', '{service_name="shop"} 5 y']);
    });

    it('takes an export of nothing, as OTLP has it, without asking the node', async () => {
      expect(await call(OTLP_LOGS_PATH, exportOf([]))).to.have.length(0);
      expect(services.pushes).to.deep.equal([]);
    });

    it('tells what it did not take of an export that is stored in part', async () => {
      services.outcomes = [{ code: 'INVALID_ENTRIES', text: 'too old' }];
      services.acceptedLines = 1;
      const answer = await call(OTLP_LOGS_PATH, exportOf(['x', 'y', 'z']));
      expect(answer).to.deep.equal(Buffer.concat([Buffer.from([0x0a, 11, 0x08, 2, 0x12, 7]), Buffer.from('too old')]));
    });

    it('refuses with codes that its exporters know, and tells when to try again', async () => {
      const refusals: [Refusal, number, boolean][] = [
        [{ code: 'INVALID_ENTRIES', text: 'too old' }, 3, false],
        [{ code: 'RATE_LIMITED', text: 'slow down', retryAfterMs: 2500 }, 8, true],
        [{ code: 'STREAM_LIMIT', text: 'too many' }, 8, true],
        [{ code: 'OVERLOADED', text: 'full', retryAfterMs: 100 }, 14, true],
        [{ code: 'STORAGE_UNAVAILABLE', text: 'gone' }, 14, true],
        [{ code: 'INTERNAL', text: 'oh' }, 14, true],
        [{ code: 'DEADLINE_EXCEEDED', text: 'late' }, 4, false],
      ];
      for (const [refusal, code, isTriedAgain] of refusals) {
        services.outcomes = [refusal];
        const error = await errorOf(call(OTLP_LOGS_PATH, exportOf(['x'])));
        expect([error.code, error.details]).to.deep.equal([code, refusal.text]);
        const details = error.metadata.get('grpc-status-details-bin')[0] as Buffer;
        expect(details.includes(retryInfo), refusal.code).to.equal(isTriedAgain);
        if (refusal.code !== 'RATE_LIMITED') continue;
        const delay = Buffer.from([0x0a, 8, 0x08, 2, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]);
        expect(details.subarray(-delay.length)).to.deep.equal(delay);
      }
    });

    it('lets an exporter send again what the node broke at', async () => {
      sinon.stub(services, 'push').rejects(new Error('broken'));
      const error = await errorOf(call(OTLP_LOGS_PATH, exportOf(['x'])));
      expect([error.code, error.details]).to.deep.equal([14, 'broken']);
    });

    it('refuses what it cannot read, and who is nobody', async () => {
      expect((await errorOf(call(OTLP_LOGS_PATH, exportOf(['x']).subarray(0, -1)))).code).to.equal(3);
      const error = await errorOf(call(OTLP_LOGS_PATH, exportOf(['x']), ''));
      expect([error.code, error.details]).to.deep.equal([16, 'no org id']);
    });
  });

  describe('with the push client', () => {
    const settled: BatchOutcome[] = [];
    const connect = (options: Partial<ConstructorParameters<typeof PushClient>[0]> = {}): PushClient => {
      settled.length = 0;
      return new PushClient({
        address: server.address,
        tenant: 'a',
        retry: { delayMs: 1, delayMsMax: 20 },
        onBatch: (outcome) => settled.push(outcome),
        ...options,
      });
    };

    it('pushes entries of several streams in batches, in order', async () => {
      const pusher = connect({ batchBytesMax: 2000, batchesInFlightMax: 1 });
      for (let index = 0; index < 500; index += 1) {
        const hasRoom = pusher.push(`{s="${index % 2}"}`, BigInt(index), `line ${index}`);
        if (!hasRoom) await pusher.room();
      }
      expect(await pusher.close()).to.include({ acceptedLines: 500, refusedLines: 0 });
      expect(settled.length).to.be.greaterThan(3);
      const expected = (stream: number) =>
        Array.from({ length: 250 }, (_, index) => `{s="${stream}"} ${index * 2 + stream} line ${index * 2 + stream}`);
      expect(services.lines.filter((line) => line.startsWith('{s="0"}'))).to.deep.equal(expected(0));
      expect(services.lines.filter((line) => line.startsWith('{s="1"}'))).to.deep.equal(expected(1));
    });

    it('sends a batch that is old enough by itself', async () => {
      const pusher = connect({ batchAgeMsMax: 10 });
      pusher.push('{a="b"}', 1n, 'x');
      while (settled.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(services.lines).to.deep.equal(['{a="b"} 1 x']);
      await pusher.close();
    });

    it('tries again what could not be stored for now', async () => {
      services.outcomes = [
        { code: 'STORAGE_UNAVAILABLE', text: 'gone' },
        { code: 'OVERLOADED', text: 'full', retryAfterMs: 1 },
        { code: 'RATE_LIMITED', text: 'slow', retryAfterMs: 1 },
      ];
      const pusher = connect();
      pusher.push('{a="b"}', 1n, 'x');
      expect(await pusher.close()).to.include({ acceptedLines: 1, refusedLines: 0 });
      expect(settled).to.deep.equal([{ lines: 1, lineBytes: 1, attempts: 4, refusal: undefined }]);
    });

    it('does not try again what will never be taken', async () => {
      services.outcomes = [{ code: 'INVALID_ENTRIES', text: 'too old' }];
      const pusher = connect();
      pusher.push('{a="b"}', 1n, 'x');
      expect(await pusher.close()).to.deep.equal({ acceptedLines: 0, acceptedBytes: 0, refusedLines: 1 });
      expect(settled[0]).to.deep.include({ attempts: 1, refusal: { status: 400, text: 'too old' } });
    });

    it('gives up when attempts or the budget are used up', async () => {
      services.outcomes = new Array(50).fill({ code: 'STORAGE_UNAVAILABLE', text: 'gone' });
      const few = connect({ retry: { delayMs: 1, attemptsMax: 3 } });
      few.push('{a="b"}', 1n, 'x');
      await few.close();
      expect(settled[0]).to.deep.include({ attempts: 3, refusal: { status: 503, text: 'gone' } });
      const poor = connect({ retry: { delayMs: 1, budget: 4 } });
      poor.push('{a="b"}', 1n, 'x');
      await poor.close();
      expect(settled[0]?.attempts).to.equal(5);
    });

    it('delivers once the server is back', async () => {
      const port = Number(server.address.split(':')[1]);
      await server.close();
      const attempt = sinon.spy(Client.prototype, 'makeUnaryRequest');
      const pusher = connect({ deadlineMs: 200, retry: { delayMs: 20, attemptsMax: 50 } });
      pusher.push('{a="b"}', 1n, 'x');
      const delivered = pusher.flush();
      while (attempt.callCount < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      attempt.restore();
      await start(port);
      expect(await delivered).to.include({ acceptedLines: 1 });
      expect(settled[0]?.attempts).to.be.greaterThan(1);
      await pusher.close();
    });
  });
});
