/**
 * Object key → path below a folder, and back:
 *
 *   tenant-a/85ad393dc21324c/187702fedd0:187703aa510:7299a721  →  tenant-a/18770/85ad393dc21324c,187702fedd0:187703aa510:7299a721
 *
 * A tenant has one folder for each 2^24 ms (4 h 40 min) of the chunks' first times: what is flushed together lies together, so that
 * few folders have to be made and synced. Keys that end in no times share the folder `_`; a key without a slash is a file on top.
 *
 * Letters, digits and `!-_.*'():` stay as they are, a slash in the file's name is a comma. Every other byte is `%` + 2 hex digits; so
 * is a leading dot (no `..`, no hidden files). A name too long for one goes on in a folder: `…%-/…`. An empty one is `%`.
 */
import { bytesOfText, textOfBytes } from '../protocol/byte-text.ts';
import { RefusedError } from '../protocol/refusal.ts';

/** ext4, xfs and btrfs allow 255 bytes. */
const NAME_SIZE_MAX = 240;

/** Chosen: encoded three times as long it still stays below PATH_MAX (4096). */
const KEY_SIZE_MAX = 1_024;

const CONTINUED = '%-';
const EMPTY = '%';
const SLASH = ',';
const NO_PERIOD = '_';
const PLAIN = /^[A-Za-z0-9!_*'():-][A-Za-z0-9!_.*'():-]*$/;
const PLAIN_BYTES = new Set(Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!-_.*'():"));

/** @throws RefusedError BAD_REQUEST if the key is longer than 1 KiB or empty */
export const pathOfKey = (key: string): string => {
  if (key === '' || Buffer.byteLength(key) > KEY_SIZE_MAX) {
    const text = `object key of ${Buffer.byteLength(key)} bytes: want 1 to ${KEY_SIZE_MAX}`;
    throw new RefusedError({ code: 'BAD_REQUEST', text });
  }
  const tenantEnd = key.indexOf('/');
  if (tenantEnd < 0) return encodedName(key);
  const name = key.slice(tenantEnd + 1);
  const file = name.split('/').map(encodedPart).join(SLASH);
  return `${folderOfTenant(key.slice(0, tenantEnd))}/${periodOf(name)}/${splitName(file)}`;
};

/** The folder of everything of a tenant. */
export const folderOfTenant = (tenant: string): string => encodedName(tenant);

/** The key of a path that `pathOfKey` made; undefined for any other path. */
export const keyOfPath = (path: string): string | undefined => {
  const [tenant = '', period, file, ...more] = path.replaceAll(`${CONTINUED}/`, '').split('/');
  if (more.length > 0 || (period !== undefined && file === undefined)) return undefined;
  const name = file?.split(SLASH).map(decodedPart).join('/');
  const key = name === undefined ? decodedPart(tenant) : `${decodedPart(tenant)}/${name}`;
  return key !== '' && Buffer.byteLength(key) <= KEY_SIZE_MAX && pathOfKey(key) === path ? key : undefined;
};

/** The first time in ms, the last one, the checksum: what a chunk's key ends in. */
const TIMES = /(?:^|[/:])(-?[0-9a-f]{1,14}):-?[0-9a-f]{1,14}:[0-9a-f]{1,8}$/;

/** Chosen: 4 h 40 min. 100,000 streams put about 500,000 files into one folder in that time; ext4 takes about ten million. */
const PERIOD_HEX_DIGITS = 6;

const periodOf = (name: string): string => {
  const from = TIMES.exec(name)?.[1];
  return from === undefined ? NO_PERIOD : from.slice(0, -PERIOD_HEX_DIGITS) || '0';
};

const encodedName = (name: string): string => splitName(encodedPart(name));

const encodedPart = (part: string): string => {
  if (part === '') return EMPTY;
  return PLAIN.test(part) ? part : encodedBytes(bytesOfText(part));
};

const splitName = (encoded: string): string => {
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
