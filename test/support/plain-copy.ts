type View = Uint8Array & {
  readonly constructor: new (buffer: ArrayBufferLike, offset: number, length?: number) => View;
};

/**
 * What arrives of plain data that is sent to a thread: copies, views of memory that both share. As structuredClone, which makes a channel for
 * each call and takes ten times as long; what it refuses (functions, symbols) is refused here too.
 */
export const plainCopy = <Value>(value: Value): Value => copyOf(value) as Value;

const copyOf = (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) {
    if (typeof value === 'function' || typeof value === 'symbol')
      throw new TypeError(`${String(value)} is not plain data`);
    return value;
  }
  if (Array.isArray(value)) return value.map(copyOf);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return copyOfView(value as View);
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return structuredClone(value);
  const copy: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(value)) copy[name] = copyOf(one);
  return copy;
};

const copyOfView = (view: View): unknown => {
  const { buffer, byteOffset } = view;
  // A thread never gets a Buffer.
  const Type = Buffer.isBuffer(view) ? (Uint8Array as unknown as View['constructor']) : view.constructor;
  if (buffer instanceof SharedArrayBuffer) return new Type(buffer, byteOffset, view.length);
  return new Type(buffer.slice(byteOffset, byteOffset + view.byteLength), 0, view.length);
};
