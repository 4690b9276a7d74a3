import { invalid } from './gcs-error.ts';

/** A parsed `fields` parameter: a name and what is wanted of it; no children = all of it. */
type Selection = Map<string, Selection>;

const OBJECT_FIELDS = [
  'kind id name bucket generation metageneration contentType contentEncoding storageClass size md5Hash crc32c',
  'etag timeCreated updated metadata selfLink mediaLink',
]
  .join(' ')
  .split(' ');

const LIST_FIELDS = ['kind', 'items', 'prefixes', 'nextPageToken'];

/** Leaves of an answer what `fields` asks for (`items(name,size),nextPageToken` or `items/name`). @throws GcsError 400 as for a field there is not */
export const selected = (resource: Record<string, unknown>, fields: string | undefined): Record<string, unknown> => {
  if (fields === undefined) return resource;
  const selection = parsed(fields);
  const known = resource['kind'] === 'storage#objects' ? LIST_FIELDS : OBJECT_FIELDS;
  for (const name of selection.keys()) {
    if (name !== '*' && !known.includes(name)) throw invalid(`Invalid field selection ${name}`);
  }
  for (const name of selection.get('items')?.keys() ?? []) {
    if (name !== '*' && !OBJECT_FIELDS.includes(name)) throw invalid(`Invalid field selection ${name}`);
  }
  return picked(resource, selection) as Record<string, unknown>;
};

const picked = (value: unknown, selection: Selection): unknown => {
  if (selection.size === 0 || selection.has('*')) return value;
  if (Array.isArray(value)) return value.map((item) => picked(item, selection));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).flatMap(([name, inner]) => {
    const below = selection.get(name);
    return below ? [[name, picked(inner, below)] as const] : [];
  });
  return Object.fromEntries(entries);
};

const parsed = (text: string): Selection => {
  const tokens = text.match(/[A-Za-z0-9*]+|[(),/]/g) ?? [];
  if (tokens.join('') !== text || text === '') throw invalid(`Invalid field selection ${text}`);
  let at = 0;
  const list = (): Selection => {
    const selection: Selection = new Map();
    for (;;) {
      const name = tokens[at++];
      if (name === undefined || /[(),/]/.test(name)) throw invalid(`Invalid field selection ${text}`);
      selection.set(name, below());
      if (tokens[at] !== ',') return selection;
      at++;
    }
  };
  const below = (): Selection => {
    if (tokens[at] === '/') {
      const name = tokens[at + 1] ?? '';
      at += 2;
      return new Map([[name, below()]]);
    }
    if (tokens[at] !== '(') return new Map();
    at++;
    const inner = list();
    if (tokens[at++] !== ')') throw invalid(`Invalid field selection ${text}`);
    return inner;
  };
  const selection = list();
  if (at !== tokens.length) throw invalid(`Invalid field selection ${text}`);
  return selection;
};
