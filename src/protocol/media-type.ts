import { badRequest } from './wire.ts';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+/;
const PARAMETER = /^\s*;\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+|"(?:[^"\\]|\\.)*")/;

/**
 * The media type of a Content-Type header in lower case, without its parameters.
 * @throws RefusedError BAD_REQUEST with the text of Go's mime package
 */
export const mediaTypeOf = (header: string | undefined): string => {
  const [base = ''] = (header ?? '').split(';', 1);
  const type = base.trim().toLowerCase();
  const main = TOKEN.exec(type)?.[0];
  if (main === undefined) throw badRequest('mime: no media type');
  const rest = type.slice(main.length);
  if (rest !== '') {
    if (!rest.startsWith('/')) throw badRequest('mime: expected slash after first token');
    const subtype = TOKEN.exec(rest.slice(1))?.[0];
    if (subtype === undefined) throw badRequest('mime: expected token after slash');
    if (subtype.length + 1 < rest.length) throw badRequest('mime: unexpected content after media subtype');
  }
  let parameters = (header ?? '').slice(base.length).trimEnd();
  while (parameters !== '' && parameters !== ';') {
    const parameter = PARAMETER.exec(parameters)?.[0];
    if (parameter === undefined) throw badRequest('mime: invalid media parameter');
    parameters = parameters.slice(parameter.length).trimEnd();
  }
  return type;
};
