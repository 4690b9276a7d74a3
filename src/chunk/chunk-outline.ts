import { dataStartOf } from './chunk-object.ts';
import { CorruptChunkError } from './corrupt-chunk-error.ts';
import { memchunkOutline } from './memchunk.ts';
import { SKIP_FOOTER_SIZE, skipSectionStart } from './skip-section.ts';

/** Bytes [start, end) of an object. */
export interface ObjectSpan {
  readonly start: number;
  readonly end: number;
}

/** The lengths in front of the data, in either form, and the MemChunk's header. */
const HEAD_SIZE = 14;

/**
 * Which bytes must be read yet before a chunk object can be decoded without its blocks: metadata, symbols, metas, and the skip section if it is
 * wanted. Empty once nothing is missing; what is asked for may show that more is.
 * @param object of the whole size, with whatever where nothing was read; its first and its last KiB were
 * @throws CorruptChunkError
 */
export const outlineGaps = (
  object: Buffer,
  isRead: (span: ObjectSpan) => boolean,
  wantsSkipFilters: boolean,
): readonly ObjectSpan[] => {
  const headEnd = object.readUInt32BE(0) + HEAD_SIZE;
  if (headEnd > object.length) throw new CorruptChunkError('the metadata reaches past the end');
  const head = { start: 0, end: headEnd };
  if (!isRead(head)) return [head];
  const dataStart = dataStartOf(object);
  const memchunk = object.subarray(dataStart);
  const { symbolsEnd, metasStart } = memchunkOutline(memchunk);
  const footerStart = wantsSkipFilters ? Math.max(0, metasStart - SKIP_FOOTER_SIZE) : metasStart;
  const tail = { start: dataStart + footerStart, end: object.length };
  const spans = [{ start: 0, end: dataStart + symbolsEnd }, tail];
  if (wantsSkipFilters && isRead(tail)) {
    spans.push({ start: dataStart + (skipSectionStart(memchunk, metasStart) ?? metasStart), end: object.length });
  }
  return spans.filter((span) => !isRead(span));
};
