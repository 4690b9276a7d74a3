/** Reads prometheus.WriteRequest as the specification of remote write has it, on its own: nothing here is shared with what writes it. */

export interface ReadSample {
  readonly value: number;
  /** The bits of the value, for NaNs that mean something. */
  readonly bits: bigint;
  readonly timeMs: number;
}

export interface ReadSeries {
  readonly labels: readonly (readonly [string, string])[];
  readonly samples: readonly ReadSample[];
}

interface Field {
  readonly number: number;
  readonly wireType: number;
  readonly bytes: Buffer;
  readonly integer: bigint;
}

function* fieldsOf(message: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const [number, wireType] = [tag >> 3, tag & 7];
    if (wireType === 0) {
      yield { number, wireType, bytes: Buffer.alloc(0), integer: varint() };
    } else {
      if (wireType !== 1 && wireType !== 2) throw new Error(`wire type ${wireType}`);
      const size = wireType === 1 ? 8 : Number(varint());
      if (at + size > message.length) throw new Error('the message ends too soon');
      yield { number, wireType, bytes: message.subarray(at, at + size), integer: 0n };
      at += size;
    }
  }
}

export const readWriteRequest = (message: Buffer): readonly ReadSeries[] =>
  [...fieldsOf(message)].map(({ number, bytes }) => {
    if (number !== 1) throw new Error(`field ${number} of a WriteRequest`);
    const fields = [...fieldsOf(bytes)];
    return {
      labels: fields.filter((field) => field.number === 1).map((field) => readLabel(field.bytes)),
      samples: fields.filter((field) => field.number === 2).map((field) => readSample(field.bytes)),
    };
  });

const readLabel = (message: Buffer): readonly [string, string] => {
  const texts = ['', ''];
  for (const { number, bytes } of fieldsOf(message)) texts[number - 1] = bytes.toString();
  return [texts[0] ?? '', texts[1] ?? ''];
};

const readSample = (message: Buffer): ReadSample => {
  let [value, bits, timeMs] = [0, 0n, 0];
  for (const { number, wireType, bytes, integer } of fieldsOf(message)) {
    if (number === 1 && wireType === 1) [value, bits] = [bytes.readDoubleLE(), bytes.readBigUInt64LE()];
    else if (number === 2 && wireType === 0) timeMs = Number(BigInt.asIntN(64, integer));
    else throw new Error(`field ${number} of a Sample`);
  }
  return { value, bits, timeMs };
};
