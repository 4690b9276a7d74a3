/** Calls of a served node over gRPC, messages as bytes. */
import { Client, credentials, Metadata } from '@grpc/grpc-js';

const asIs = (bytes: Buffer): Buffer => bytes;

const DEADLINE_MS = 10_000;

const metadataOf = (tenant: string): Metadata => {
  const metadata = new Metadata();
  metadata.set('x-scope-orgid', tenant);
  return metadata;
};

/** One request, one answer. Rejects with the ServiceError. */
export const callUnary = async (address: string, path: string, bytes: Buffer, tenant = 'fake'): Promise<Buffer> => {
  const client = new Client(address, credentials.createInsecure());
  const options = { deadline: Date.now() + DEADLINE_MS };
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, asIs, asIs, bytes, metadataOf(tenant), options, (error, answer) =>
        error ? reject(error) : resolve(answer ?? Buffer.alloc(0)),
      );
    });
  } finally {
    client.close();
  }
};
