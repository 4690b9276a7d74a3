/**
 * Messages of MutateRows, written and read without an object for each field: every index row goes through here (docs/benchmarks.md, Bigtable). Source:
 * MutateRowsRequest and MutateRowsResponse in google/bigtable/v2/bigtable.proto, Mutation in data.proto.
 *
 *   request   1 table, 2 entry*, 3 app profile        entry     1 row key, 2 mutation*
 *   mutation  1 set cell | 2 delete from column       set cell  1 family, 2 qualifier, 3 timestamp (0: left out), 4 value
 *   response  1 entry*                                entry     1 index (0: left out), 2 status { 1 code, 2 message }
 */
import { protoFields } from '../protocol/proto-fields.ts';
import { BigtableError } from './bigtable-status.ts';

/** A cell to set, or to delete if there is no value. */
export interface Mutation {
  readonly family: string;
  readonly qualifier: Buffer;
  readonly value: Buffer | undefined;
}

export interface RowMutations {
  readonly rowKey: Buffer;
  readonly mutations: readonly Mutation[];
}

/** @param families their names are ASCII */
export const encodeMutateRows = (tableName: string, appProfile: string, entries: readonly RowMutations[]): Buffer => {
  const [table, profile] = [Buffer.from(tableName), Buffer.from(appProfile)];
  const sizes: number[] = [];
  let size = fieldSize(table.length) + (profile.length > 0 ? fieldSize(profile.length) : 0);
  for (const { rowKey, mutations } of entries) {
    let entrySize = fieldSize(rowKey.length);
    for (const mutation of mutations) entrySize += fieldSize(fieldSize(cellSize(mutation)));
    sizes.push(entrySize);
    size += fieldSize(entrySize);
  }
  const writer = new MessageWriter(size);
  writer.bytes(TAG_TABLE, table);
  for (const [index, { rowKey, mutations }] of entries.entries()) {
    writer.begin(TAG_ENTRY, sizes[index] ?? 0);
    writer.bytes(TAG_ROW_KEY, rowKey);
    for (const mutation of mutations) writeMutation(writer, mutation);
  }
  if (profile.length > 0) writer.bytes(TAG_APP_PROFILE, profile);
  return writer.target;
};

const writeMutation = (writer: MessageWriter, mutation: Mutation): void => {
  const { family, qualifier, value } = mutation;
  const size = cellSize(mutation);
  writer.begin(TAG_MUTATION, fieldSize(size));
  writer.begin(value === undefined ? TAG_DELETE_FROM_COLUMN : TAG_SET_CELL, size);
  writer.ascii(TAG_FAMILY, family);
  writer.bytes(TAG_QUALIFIER, qualifier);
  if (value !== undefined) writer.bytes(TAG_VALUE, value);
};

const cellSize = ({ family, qualifier, value }: Mutation): number =>
  fieldSize(family.length) + fieldSize(qualifier.length) + (value === undefined ? 0 : fieldSize(value.length));

/** Of a field with a length, whose tag is one byte. */
const fieldSize = (size: number): number => 1 + varintSize(size) + size;

const varintSize = (value: number): number => {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
};

class MessageWriter {
  readonly target: Buffer;
  #at = 0;

  constructor(size: number) {
    this.target = Buffer.allocUnsafe(size);
  }

  begin(tag: number, size: number): void {
    this.target[this.#at++] = tag;
    let rest = size;
    for (; rest >= 0x80; rest >>>= 7) this.target[this.#at++] = (rest & 0x7f) | 0x80;
    this.target[this.#at++] = rest;
  }

  bytes(tag: number, bytes: Uint8Array): void {
    this.begin(tag, bytes.length);
    this.target.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  ascii(tag: number, text: string): void {
    this.begin(tag, text.length);
    for (let index = 0; index < text.length; index++) this.target[this.#at++] = text.charCodeAt(index);
  }
}

/**
 * Sets in `outcomes`, by the entry's place, what became of each entry of the message: undefined if it is durable.
 * @throws RefusedError BAD_REQUEST where the bytes are no message
 */
export const decodeOutcomes = (message: Buffer, outcomes: Map<number, BigtableError | undefined>): void => {
  for (const { number, bytes } of protoFields(message, 'MutateRowsResponse')) {
    if (number !== RESPONSE_ENTRY) continue;
    let index = 0;
    let failure: BigtableError | undefined;
    for (const field of protoFields(bytes, 'MutateRowsResponse.Entry')) {
      if (field.number === ENTRY_INDEX) index = field.value;
      else if (field.number === ENTRY_STATUS) failure = decodeStatus(field.bytes);
    }
    outcomes.set(index, failure);
  }
};

const decodeStatus = (bytes: Uint8Array): BigtableError | undefined => {
  let code = 0;
  let text = '';
  for (const field of protoFields(bytes, 'Status')) {
    if (field.number === STATUS_CODE) code = field.value;
    else if (field.number === STATUS_MESSAGE) text = Buffer.from(field.bytes).toString();
  }
  return code === 0 ? undefined : new BigtableError(code, text);
};

const RESPONSE_ENTRY = 1;
const ENTRY_INDEX = 1;
const ENTRY_STATUS = 2;
const STATUS_CODE = 1;
const STATUS_MESSAGE = 2;

/** Field number and wire type. */
const TAG_TABLE = 0x0a;
const TAG_ENTRY = 0x12;
const TAG_APP_PROFILE = 0x1a;
const TAG_ROW_KEY = 0x0a;
const TAG_MUTATION = 0x12;
const TAG_SET_CELL = 0x0a;
const TAG_DELETE_FROM_COLUMN = 0x12;
const TAG_FAMILY = 0x0a;
const TAG_QUALIFIER = 0x12;
const TAG_VALUE = 0x22;
