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

/** One request, all answers. Rejects with the ServiceError. */
export const callStream = async (address: string, path: string, bytes: Buffer, tenant = 'fake'): Promise<Buffer[]> => {
  const client = new Client(address, credentials.createInsecure());
  const options = { deadline: Date.now() + DEADLINE_MS };
  try {
    const answers: Buffer[] = [];
    const call = client.makeServerStreamRequest(path, asIs, asIs, bytes, metadataOf(tenant), options);
    for await (const answer of call) answers.push(answer as Buffer);
    return answers;
  } finally {
    client.close();
  }
};

/** A message's field as it lies there: numbers of varints, bytes of everything else. */
export type RawFields = ReadonlyMap<number, readonly (bigint | Buffer)[]>;

/** Reads a message by the wire format alone, so that a test says each field's number itself. */
export const rawFields = (bytes: Buffer): RawFields => {
  const fields = new Map<number, (bigint | Buffer)[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  const taken = (size: number): Buffer => {
    at += size;
    return bytes.subarray(at - size, at);
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const list = fields.get(tag >>> 3) ?? [];
    fields.set(tag >>> 3, list);
    if ((tag & 7) === 0) list.push(varint());
    else list.push(taken((tag & 7) === 1 ? 8 : Number(varint())));
  }
  return fields;
};
