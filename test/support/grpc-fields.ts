/** Messages of gRPC field by field, so that a test says each field's number itself. */
import { WireWriter, writeTimestamp } from '../../src/protocol/logproto.ts';
import { rawFields } from './grpc-calls.ts';

export type Write = (writer: WireWriter) => void;

export const message = (...fields: readonly Write[]): Buffer => {
  const writer = new WireWriter();
  for (const write of fields) write(writer);
  return Buffer.from(writer.finish());
};
export const text =
  (field: number, value: string): Write =>
  (writer) =>
    writer.bytes(field, value);
export const integer =
  (field: number, value: number | bigint): Write =>
  (writer) =>
    writer.integer(field, BigInt(value));
export const time =
  (field: number, timeNs: bigint): Write =>
  (writer) =>
    writeTimestamp(writer, field, timeNs);
export const texts = (bytes: Buffer, field: number): string[] =>
  (rawFields(bytes).get(field) ?? []).map((value) => value.toString());
export const messages = (bytes: Buffer, field: number): Buffer[] => (rawFields(bytes).get(field) ?? []) as Buffer[];
export const number = (bytes: Buffer, field: number): number => Number(rawFields(bytes).get(field)?.[0] ?? 0n);
