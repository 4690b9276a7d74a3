/** `Packet` and `Frame` of src/protocol/ringlog.proto as bytes. */
import { badRequest, cursorAfterRead, readSize, readTag, readVarint, skipValue } from '../../protocol/wire.ts';

export const FRAME = {
  hello: 1,
  request: 2,
  answer: 3,
  end: 4,
  failure: 5,
  cancel: 6,
  credit: 7,
  pull: 8,
  ping: 9,
  pong: 10,
  goodbye: 11,
} as const;

/** What a REQUEST or ANSWER frame costs of its class's credit beside its body: empty ones must not be free. */
export const FRAME_COST = 64;

export interface Hello {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly clusterUid: string;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly address: string;
  readonly toNodeId: string;
  readonly toIncarnation: number;
  /** By class number. */
  readonly windows: readonly number[];
}

interface FrameNumbers {
  readonly type: number;
  readonly seq: number;
  readonly class: number;
  readonly kind: number;
  readonly deadlineMs: number;
  readonly window: number;
  readonly more: number;
  readonly size: number;
  readonly offset: number;
  readonly bytes: number;
  readonly retryAfterMs: number;
}

interface FrameTexts {
  readonly code: string;
  readonly text: string;
}

/** As received: fields that were not sent are 0 or empty. `body` is a view. */
export interface Frame extends FrameNumbers, FrameTexts {
  readonly hello: Hello | undefined;
  readonly body: Uint8Array;
}

/** To be sent: fields that are left out are 0 or empty. */
export interface OutgoingFrame extends Partial<FrameNumbers>, Partial<FrameTexts> {
  readonly type: number;
  readonly hello?: Hello;
  readonly body?: readonly Uint8Array[];
}

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** The index is the field's number, less one. */
const NUMBERS = [
  'type',
  'seq',
  'class',
  'kind',
  'deadlineMs',
  'window',
  'more',
  'size',
  'offset',
  'bytes',
  'retryAfterMs',
] as const satisfies readonly (keyof FrameNumbers)[];
const CODE = 12;
const TEXT = 13;
const HELLO = 14;
const BODY = 15;

/** More than the number of each known field of Hello. */
const HELLO_FIELDS = 13;

const VARINT = 0;
const BYTES = 2;
const EMPTY = new Uint8Array(0);

const tagOf = (field: number, wireType: number): number => field * 8 + wireType;

const varintSize = (value: number): number => {
  let size = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
  return size;
};

const writeVarint = (out: Buffer, offset: number, value: number): number => {
  let at = offset;
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out[at++] = (rest % 0x80) + 0x80;
  out[at] = rest;
  return at + 1;
};

const numberSize = (field: number, value: number): number =>
  value === 0 ? 0 : varintSize(tagOf(field, VARINT)) + varintSize(value);

const bytesSize = (field: number, size: number): number =>
  size === 0 ? 0 : varintSize(tagOf(field, BYTES)) + varintSize(size) + size;

const writeNumber = (out: Buffer, at: number, field: number, value: number): number =>
  value === 0 ? at : writeVarint(out, writeVarint(out, at, tagOf(field, VARINT)), value);

const writeBytesHead = (out: Buffer, at: number, field: number, size: number): number =>
  writeVarint(out, writeVarint(out, at, tagOf(field, BYTES)), size);

const writeText = (out: Buffer, at: number, field: number, text: string): number => {
  if (text === '') return at;
  const start = writeBytesHead(out, at, field, Buffer.byteLength(text));
  return start + out.write(text, start);
};

type HelloField = readonly [field: number, value: string | number];

const helloFields = (hello: Hello): HelloField[] => [
  [1, hello.nodeId],
  [2, hello.incarnation],
  [3, hello.clusterUid],
  [4, hello.protocolMin],
  [5, hello.protocolMax],
  [6, hello.address],
  [7, hello.toNodeId],
  [8, hello.toIncarnation],
  ...hello.windows.map((bytes, index): HelloField => [9 + index, bytes]),
];

const helloSize = (fields: readonly HelloField[]): number =>
  fields.reduce(
    (size, [field, value]) =>
      size + (typeof value === 'number' ? numberSize(field, value) : bytesSize(field, Buffer.byteLength(value))),
    0,
  );

export const sizeOf = (parts: readonly Uint8Array[]): number => {
  let size = 0;
  for (const part of parts) size += part.length;
  return size;
};

/** In the order of `NUMBERS`, each by its name: frames have many shapes, in which V8 finds a name that it does not know beforehand slowly. */
const numbersOf = (frame: OutgoingFrame): readonly number[] => [
  frame.type,
  frame.seq ?? 0,
  frame.class ?? 0,
  frame.kind ?? 0,
  frame.deadlineMs ?? 0,
  frame.window ?? 0,
  frame.more ?? 0,
  frame.size ?? 0,
  frame.offset ?? 0,
  frame.bytes ?? 0,
  frame.retryAfterMs ?? 0,
];

const frameSize = (frame: OutgoingFrame, numbers: readonly number[]): number => {
  let size = 0;
  for (let index = 0; index < numbers.length; index += 1) size += numberSize(index + 1, numbers[index] ?? 0);
  if (frame.code) size += bytesSize(CODE, Buffer.byteLength(frame.code));
  if (frame.text) size += bytesSize(TEXT, Buffer.byteLength(frame.text));
  if (frame.hello) size += bytesSize(HELLO, helloSize(helloFields(frame.hello)));
  if (frame.body) size += bytesSize(BODY, sizeOf(frame.body));
  return size;
};

const writeHello = (out: Buffer, offset: number, hello: Hello): number => {
  const fields = helloFields(hello);
  let at = writeBytesHead(out, offset, HELLO, helloSize(fields));
  for (const [field, value] of fields) {
    at = typeof value === 'number' ? writeNumber(out, at, field, value) : writeText(out, at, field, value);
  }
  return at;
};

const writeFrame = (out: Buffer, offset: number, frame: OutgoingFrame, numbers: readonly number[]): number => {
  let at = offset;
  for (let index = 0; index < numbers.length; index += 1) at = writeNumber(out, at, index + 1, numbers[index] ?? 0);
  at = writeText(out, at, CODE, frame.code ?? '');
  at = writeText(out, at, TEXT, frame.text ?? '');
  if (frame.hello) at = writeHello(out, at, frame.hello);
  const bodySize = frame.body ? sizeOf(frame.body) : 0;
  if (frame.body && bodySize > 0) {
    at = writeBytesHead(out, at, BODY, bodySize);
    for (const part of frame.body) {
      out.set(part, at);
      at += part.length;
    }
  }
  return at;
};

/** Copies the bodies, once. */
export const encodePacket = (frames: readonly OutgoingFrame[]): Buffer => {
  const measured = frames.map((frame) => {
    const numbers = numbersOf(frame);
    return { frame, numbers, size: frameSize(frame, numbers) };
  });
  const out = Buffer.allocUnsafe(measured.reduce((sum, { size }) => sum + 1 + varintSize(size) + size, 0));
  let at = 0;
  for (const { frame, numbers, size } of measured) {
    at = writeFrame(out, writeBytesHead(out, at, 1, size), frame, numbers);
  }
  return out;
};

const textAt = (bytes: Buffer, at: number, size: number): string => bytes.toString('utf8', at, at + size);

const decodeHello = (bytes: Buffer, start: number, end: number): Hello => {
  const texts: string[] = [];
  const numbers: number[] = [];
  for (let at = start; at < end; ) {
    const tag = readTag(bytes, at, end, 'Hello');
    const field = Math.floor(tag / 8);
    if (tag % 8 === BYTES) {
      const size = readSize(bytes, cursorAfterRead(), end);
      if (field < HELLO_FIELDS) texts[field] = textAt(bytes, cursorAfterRead(), size);
      at = cursorAfterRead() + size;
    } else {
      if (tag % 8 === VARINT && field < HELLO_FIELDS) numbers[field] = readVarint(bytes, cursorAfterRead(), end);
      else skipValue(bytes, cursorAfterRead(), end, tag % 8);
      at = cursorAfterRead();
    }
  }
  return {
    nodeId: texts[1] ?? '',
    incarnation: numbers[2] ?? 0,
    clusterUid: texts[3] ?? '',
    protocolMin: numbers[4] ?? 0,
    protocolMax: numbers[5] ?? 0,
    address: texts[6] ?? '',
    toNodeId: texts[7] ?? '',
    toIncarnation: numbers[8] ?? 0,
    windows: [9, 10, 11, 12].map((field) => numbers[field] ?? 0),
  };
};

const decodeFrame = (bytes: Buffer, start: number, end: number): Frame => {
  const frame: Mutable<Frame> = {
    type: 0,
    seq: 0,
    class: 0,
    kind: 0,
    deadlineMs: 0,
    window: 0,
    more: 0,
    size: 0,
    offset: 0,
    bytes: 0,
    retryAfterMs: 0,
    code: '',
    text: '',
    hello: undefined,
    body: EMPTY,
  };
  for (let at = start; at < end; ) {
    const tag = readTag(bytes, at, end, 'Frame');
    const field = Math.floor(tag / 8);
    const name = NUMBERS[field - 1];
    if (name && tag % 8 === VARINT) {
      frame[name] = readVarint(bytes, cursorAfterRead(), end);
      at = cursorAfterRead();
    } else if (tag % 8 === BYTES) {
      const size = readSize(bytes, cursorAfterRead(), end);
      const value = cursorAfterRead();
      at = value + size;
      if (field === CODE) frame.code = textAt(bytes, value, size);
      else if (field === TEXT) frame.text = textAt(bytes, value, size);
      else if (field === HELLO) frame.hello = decodeHello(bytes, value, at);
      else if (field === BODY) frame.body = bytes.subarray(value, at);
    } else {
      skipValue(bytes, cursorAfterRead(), end, tag % 8);
      at = cursorAfterRead();
    }
  }
  return frame;
};

/**
 * Bodies are views of `bytes`.
 * @throws RefusedError BAD_REQUEST if the bytes are no packet
 */
export const decodePacket = (bytes: Buffer): Frame[] => {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readTag(bytes, at, bytes.length, 'Packet');
    if (tag === tagOf(1, BYTES)) {
      const size = readSize(bytes, cursorAfterRead(), bytes.length);
      const start = cursorAfterRead();
      at = start + size;
      frames.push(decodeFrame(bytes, start, at));
    } else {
      skipValue(bytes, cursorAfterRead(), bytes.length, tag % 8);
      at = cursorAfterRead();
    }
  }
  return frames;
};

/** Of a link's first packet. @throws RefusedError BAD_REQUEST */
export const helloOf = (bytes: Buffer): Hello => {
  const hello = decodePacket(bytes)[0]?.hello;
  if (!hello) throw badRequest('a link must begin with a hello');
  return hello;
};
