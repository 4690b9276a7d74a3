/**
 * Object key → path below a folder, and back. Parts between slashes are folders, the last one is the file.
 *
 * Letters, digits and `!-_.*'():` stay as they are, so an ordinary chunk's path is its key. Every other byte is `%` + 2 hex digits; so
 * is a leading dot (no `..`, no hidden files). A part too long for one name goes on in a folder: `…%-/…`. An empty part is `%`.
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** ext4, xfs and btrfs allow 255 bytes. */
const NAME_SIZE_MAX = 240;

/** Chosen: encoded three times as long it still stays below PATH_MAX (4096). */
const KEY_SIZE_MAX = 1_024;

const CONTINUED = '%-';
const EMPTY = '%';
const PLAIN = /^[A-Za-z0-9!_*'():-][A-Za-z0-9!_.*'():-]*$/;
const PLAIN_BYTES = new Set(Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!-_.*'():"));

/** @throws RefusedError BAD_REQUEST if the key is longer than 1 KiB or empty */
export const pathOfKey = (key: string): string => {
  if (key === '' || Buffer.byteLength(key) > KEY_SIZE_MAX) {
    const text = `object key of ${Buffer.byteLength(key)} bytes: want 1 to ${KEY_SIZE_MAX}`;
    throw new RefusedError({ code: 'BAD_REQUEST', text });
  }
  return key.split('/').map(encodedPart).join('/');
};

/** The key of a path that `pathOfKey` made; undefined for any other path. */
export const keyOfPath = (path: string): string | undefined => {
  const joined = path.replaceAll(`${CONTINUED}/`, '');
  const key = joined.split('/').map(decodedPart).join('/');
  return key !== '' && Buffer.byteLength(key) <= KEY_SIZE_MAX && pathOfKey(key) === path ? key : undefined;
};

const encodedPart = (part: string): string => {
  if (part === '') return EMPTY;
  const encoded = PLAIN.test(part) ? part : encodedBytes(bytesOfText(part));
  if (encoded.length <= NAME_SIZE_MAX) return encoded;
  // A piece must not begin with a dot either.
  return split(encoded.replaceAll('.', '%2E'));
};

const encodedBytes = (bytes: Buffer): string => {
  let encoded = '';
  for (const [index, byte] of bytes.entries()) {
    const isPlain = PLAIN_BYTES.has(byte) && !(index === 0 && byte === 0x2e);
    encoded += isPlain ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0').toUpperCase()}`;
  }
  return encoded;
};

const split = (encoded: string): string => {
  const pieceSize = NAME_SIZE_MAX - CONTINUED.length;
  const pieces: string[] = [];
  for (let start = 0; start < encoded.length; start += pieceSize) pieces.push(encoded.slice(start, start + pieceSize));
  return pieces.join(`${CONTINUED}/`);
};

const decodedPart = (part: string): string => {
  if (part === EMPTY) return '';
  if (!part.includes('%')) return part;
  const bytes = part.match(/%[0-9A-F]{2}|[^%]/g) ?? [];
  return textOfBytes(
    Buffer.from(bytes.map((byte) => (byte.length === 3 ? Number.parseInt(byte.slice(1), 16) : byte.charCodeAt(0)))),
  );
};
