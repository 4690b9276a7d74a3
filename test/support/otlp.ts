/** OTLP's ExportLogsServiceRequest in protobuf and in JSON, from plain values. */

/** `null`: an AnyValue without a value; a bigint: an integer; `{ map: … }`, so that objects can be told from maps. */
export type PlainValue =
  | string
  | boolean
  | number
  | bigint
  | null
  | Uint8Array
  | readonly PlainValue[]
  | { readonly map: Readonly<Record<string, PlainValue>> };

export type PlainAttributes = Readonly<Record<string, PlainValue>>;

export interface PlainRecord {
  readonly timeNs?: bigint;
  readonly observedNs?: bigint;
  readonly severityNumber?: number;
  readonly severityText?: string;
  /** undefined: no body at all. */
  readonly body?: PlainValue;
  readonly attributes?: PlainAttributes;
  readonly droppedCount?: number;
  readonly flags?: number;
  /** Hex. */
  readonly traceId?: string;
  readonly spanId?: string;
}

export interface PlainResource {
  readonly attributes: PlainAttributes;
  readonly scopes: readonly {
    readonly name?: string;
    readonly version?: string;
    readonly attributes?: PlainAttributes;
    readonly records: readonly PlainRecord[];
  }[];
}

const varint = (value: bigint | number): Buffer => {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
};
const integer = (field: number, value: bigint | number | undefined): Buffer =>
  value === undefined ? Buffer.alloc(0) : Buffer.concat([varint(field * 8), varint(value)]);
/** A text, bytes or a message. */
export const sized = (field: number, value: string | Uint8Array | undefined): Buffer => {
  if (value === undefined) return Buffer.alloc(0);
  const bytes = Buffer.from(value as Uint8Array);
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
};
const fixed64 = (field: number, value: bigint | undefined): Buffer => {
  if (value === undefined) return Buffer.alloc(0);
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return Buffer.concat([varint(field * 8 + 1), bytes]);
};
const double = (field: number, value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(field * 8 + 1), bytes]);
};
const fixed32 = (field: number, value: number | undefined): Buffer => {
  if (value === undefined) return Buffer.alloc(0);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return Buffer.concat([varint(field * 8 + 5), bytes]);
};

const isMap = (value: PlainValue): value is { readonly map: PlainAttributes } =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'map' in value;

export const anyValue = (value: PlainValue): Buffer => {
  if (value === null) return Buffer.alloc(0);
  if (typeof value === 'string') return sized(1, value);
  if (typeof value === 'boolean') return integer(2, value ? 1 : 0);
  if (typeof value === 'bigint') return integer(3, value);
  if (typeof value === 'number') return double(4, value);
  if (value instanceof Uint8Array) return sized(7, value);
  if (isMap(value)) return sized(6, attributes(1, value.map));
  return sized(5, Buffer.concat(value.map((inner) => sized(1, anyValue(inner)))));
};
const attributes = (field: number, pairs: PlainAttributes = {}): Buffer =>
  Buffer.concat(
    Object.entries(pairs).map(([key, value]) =>
      sized(field, Buffer.concat([sized(1, key), sized(2, anyValue(value))])),
    ),
  );

const encodeRecord = (record: PlainRecord): Buffer =>
  Buffer.concat([
    fixed64(1, record.timeNs),
    integer(2, record.severityNumber),
    sized(3, record.severityText),
    sized(5, record.body === undefined ? undefined : anyValue(record.body)),
    attributes(6, record.attributes),
    integer(7, record.droppedCount),
    fixed32(8, record.flags),
    sized(9, record.traceId === undefined ? undefined : Buffer.from(record.traceId, 'hex')),
    sized(10, record.spanId === undefined ? undefined : Buffer.from(record.spanId, 'hex')),
    fixed64(11, record.observedNs),
  ]);

/** @param isReversed the fields of resources and scopes in the order that no sender uses: what is shared comes last */
export const encodeExport = (resources: readonly PlainResource[], isReversed = false): Buffer => {
  const ordered = (parts: Buffer[]): Buffer => Buffer.concat(isReversed ? parts.reverse() : parts);
  return Buffer.concat(
    resources.map((resource) => {
      const scopes = resource.scopes.map(({ name, version, attributes: own, records }) => {
        const scope = Buffer.concat([sized(1, name), sized(2, version), attributes(3, own)]);
        return sized(2, ordered([sized(1, scope), Buffer.concat(records.map((one) => sized(2, encodeRecord(one))))]));
      });
      return sized(1, ordered([sized(1, attributes(1, resource.attributes)), Buffer.concat(scopes)]));
    }),
  );
};

const jsonValue = (value: PlainValue): object => {
  if (value === null) return {};
  if (typeof value === 'string') return { stringValue: value };
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'bigint') return { intValue: String(value) };
  if (typeof value === 'number')
    return { doubleValue: Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : String(value) };
  if (value instanceof Uint8Array) return { bytesValue: Buffer.from(value).toString('base64') };
  if (isMap(value)) return { kvlistValue: { values: jsonAttributes(value.map) } };
  return { arrayValue: { values: value.map(jsonValue) } };
};
const jsonAttributes = (pairs: PlainAttributes = {}): object[] =>
  Object.entries(pairs).map(([key, value]) => ({ key, value: jsonValue(value) }));

const jsonRecord = (record: PlainRecord): object => ({
  timeUnixNano: record.timeNs === undefined ? undefined : String(record.timeNs),
  observedTimeUnixNano: record.observedNs === undefined ? undefined : String(record.observedNs),
  severityNumber: record.severityNumber,
  severityText: record.severityText,
  body: record.body === undefined ? undefined : jsonValue(record.body),
  attributes: jsonAttributes(record.attributes),
  droppedAttributesCount: record.droppedCount,
  flags: record.flags,
  traceId: record.traceId,
  spanId: record.spanId,
});

/** As encodeExport. */
export const exportJson = (resources: readonly PlainResource[], isReversed = false): Buffer => {
  const ordered = (members: [string, unknown][]): object =>
    Object.fromEntries(isReversed ? members.reverse() : members);
  const resourceLogs = resources.map((resource) =>
    ordered([
      ['resource', { attributes: jsonAttributes(resource.attributes) }],
      [
        'scopeLogs',
        resource.scopes.map(({ name, version, attributes: own, records }) =>
          ordered([
            ['scope', { name, version, attributes: jsonAttributes(own) }],
            ['logRecords', records.map(jsonRecord)],
          ]),
        ),
      ],
    ]),
  );
  return Buffer.from(JSON.stringify({ resourceLogs }));
};
