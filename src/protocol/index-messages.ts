/** Answers of logproto.Querier about streams, chunks and fields as a whole (numbers in the API specification, section 6). */
import { WireWriter } from './logproto.ts';

export interface IndexStats {
  readonly streams: number;
  readonly chunks: number;
  readonly bytes: number;
  readonly entries: number;
}

/** IndexStatsResponse{streams=1, chunks=2, bytes=3, entries=4} */
export const encodeIndexStats = ({ streams, chunks, bytes, entries }: IndexStats): Buffer => {
  const writer = new WireWriter();
  for (const [index, value] of [streams, chunks, bytes, entries].entries()) writer.integer(index + 1, BigInt(value));
  return writer.finish();
};

/** GetChunkIDsResponse{chunkIDs=1} */
export const encodeChunkIds = (keys: readonly string[]): Buffer => {
  const writer = new WireWriter();
  for (const key of keys) writer.bytes(1, key);
  return writer.finish();
};

/** VolumeResponse{volumes=1 {name=1, volume=3}, limit=2} */
export const encodeVolumes = (
  volumes: readonly { readonly name: string; readonly bytes: number }[],
  limit: number,
): Buffer => {
  const writer = new WireWriter();
  for (const { name, bytes } of volumes) {
    writer.message(1, () => {
      writer.bytes(1, name);
      writer.integer(3, BigInt(bytes));
    });
  }
  writer.integer(2, BigInt(limit));
  return writer.finish();
};

export interface AnsweredField {
  readonly label: string;
  readonly type: string;
  readonly cardinality: number;
  readonly parsers: readonly string[];
  readonly jsonPath: readonly string[];
}

/**
 * DetectedFieldsResponse{fields=1 {label=1, type=2, cardinality=3, parsers=4, sketch=5, jsonPath=6}, limit=2, values=3}. Without sketches:
 * values are counted, and nobody adds up the answers of several nodes.
 */
export const encodeDetectedFields = (
  fields: readonly AnsweredField[],
  values: readonly string[],
  limit: number,
): Buffer => {
  const writer = new WireWriter();
  for (const { label, type, cardinality, parsers, jsonPath } of fields) {
    writer.message(1, () => {
      writer.bytes(1, label);
      writer.bytes(2, type);
      writer.integer(3, BigInt(cardinality));
      for (const parser of parsers) writer.bytes(4, parser);
      for (const key of jsonPath) writer.bytes(6, key);
    });
  }
  writer.integer(2, BigInt(limit));
  for (const value of values) writer.bytes(3, value);
  return writer.finish();
};

/** LabelToValuesResponse{labels=1 map<string, UniqueLabelValues{values=1}>} */
export const encodeLabelValues = (labels: ReadonlyMap<string, Iterable<string>>): Buffer => {
  const writer = new WireWriter();
  for (const [name, values] of labels) {
    writer.message(1, () => {
      writer.bytes(1, name);
      writer.message(2, () => {
        for (const value of values) writer.bytes(1, value);
      });
    });
  }
  return writer.finish();
};
