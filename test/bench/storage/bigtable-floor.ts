/** What reading the rows of the selector's chunks takes with a bare gRPC client that looks at nothing: less no reader of them can take. */
import protos from '@google-cloud/bigtable/build/protos/protos.js';
import { Client, credentials } from '@grpc/grpc-js';
import { forEachConcurrent } from '../../../src/protocol/for-each-concurrent.ts';
import { rowKeyOf } from '../../../src/storage/bigtable-row-key.ts';
import { CHANNEL_OPTIONS } from '../../../src/storage/bigtable-rpc.ts';
import { chunkRow, seriesIdOf } from '../../../src/storage/index-row.ts';
import { dayBuckets } from '../../../src/storage/schema-config.ts';
import { benchChunk, benchDay, benchSchema } from './bigtable-rows.ts';

const ROWS_A_CALL = 1_000;
const CALLS_IN_FLIGHT = 4;

const path = '/google.bigtable.v2.Bigtable/ReadRows';
const asTheyAre = (bytes: Buffer): Buffer => bytes;

const startMs = Number(benchDay.startNs / 1_000_000n);

/** Encoded beforehand. */
const requestsOf = (instance: string, series: number): readonly Buffer[] => {
  const [bucket] = dayBuckets(benchSchema, startMs, startMs);
  if (!bucket) throw new Error('no day');
  const tableName = `projects/test/instances/${instance}/tables/${bucket.table}`;
  const keys = Array.from({ length: series }, (_, number) =>
    rowKeyOf('bigtable-hashed', chunkRow(bucket, 'bench', seriesIdOf(benchChunk(number, 0).labels))),
  );
  const requests: Buffer[] = [];
  for (let first = 0; first < series; first += ROWS_A_CALL) {
    const rowKeys = keys.slice(first, first + ROWS_A_CALL);
    const message = protos.google.bigtable.v2.ReadRowsRequest.encode({ tableName, rows: { rowKeys } });
    requests.push(message.finish() as Buffer);
  }
  return requests;
};

/** @returns what reads them, and how many bytes it read */
export const bareReader = (host: string, instance: string, series: number): (() => Promise<number>) => {
  const requests = requestsOf(instance, series);
  return async () => {
    const client = new Client(host, credentials.createInsecure(), CHANNEL_OPTIONS);
    let bytes = 0;
    await forEachConcurrent(requests, CALLS_IN_FLIGHT, async (request) => {
      const call = client.makeServerStreamRequest(path, asTheyAre, asTheyAre, request);
      for await (const message of call) bytes += (message as Buffer).length;
    });
    client.close();
    return bytes;
  };
};
