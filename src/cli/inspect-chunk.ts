import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { prepareCodec } from '../chunk/block-codec.ts';
import { BlockCursor } from '../chunk/block-reader.ts';
import { crc32c } from '../chunk/checksum.ts';
import { type ChunkView, decodeChunk } from '../chunk/chunk-object.ts';
import { canonicalText } from '../protocol/label-text.ts';
import { CommandError, UsageError } from './cli-error.ts';
import { formatTime } from './entry-printer.ts';
import { tableText } from './metric-printer.ts';
import type { Terminal } from './terminal.ts';

export interface InspectFlags {
  readonly entries?: boolean;
  readonly json?: boolean;
}

interface BlockReport {
  readonly entries: number;
  readonly from: string;
  readonly through: string;
  readonly offset: number;
  readonly bytes: number;
  readonly plainBytes: number;
  /** 'ok', or what is wrong. */
  readonly checksum: string;
}

interface ChunkReport {
  readonly file: string;
  readonly bytes: number;
  readonly checksum: string;
  /** undefined: the file's name says none. */
  readonly keyMatches: boolean | undefined;
  readonly tenant: string;
  readonly fingerprint: string;
  readonly labels: string;
  readonly from: string;
  readonly through: string;
  readonly version: number;
  readonly encoding: string;
  readonly entries: number;
  readonly blocks: readonly BlockReport[];
}

const timeOfMs = (ms: number): string => new Date(ms).toISOString();

/** A chunk's key ends in its checksum: `…:18e25f0a:18e25f0b:9f3c01ab`; file stores may encode the colons. */
const checksumInName = (file: string): number | undefined => {
  const match = /(?::|%3A|_)([0-9a-f]{1,8})$/i.exec(path.basename(decodeURIComponentSafe(file)));
  return match ? Number.parseInt(match[1] ?? '', 16) : undefined;
};

const decodeURIComponentSafe = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

const inspectBlock = (view: ChunkView, index: number): BlockReport => {
  const meta = view.blocks[index];
  if (!meta) throw new RangeError(`no block ${index}`);
  let plainBytes = 0;
  let checksum = 'ok';
  try {
    plainBytes = view.inflateBlock(index).length;
  } catch (error) {
    checksum = (error as Error).message;
  }
  return {
    entries: meta.count,
    from: formatTime(meta.minTime),
    through: formatTime(meta.maxTime),
    offset: meta.offset,
    bytes: meta.size,
    plainBytes,
    checksum,
  };
};

const inspect = async (file: string): Promise<{ readonly report: ChunkReport; readonly view: ChunkView }> => {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
  let view: ChunkView;
  try {
    view = decodeChunk(bytes);
    await prepareCodec(view.encoding);
  } catch (error) {
    throw new CommandError(`${file}: ${(error as Error).message}`, { cause: error });
  }
  const checksum = crc32c(bytes);
  const named = checksumInName(file);
  const report: ChunkReport = {
    file,
    bytes: bytes.length,
    checksum: checksum.toString(16).padStart(8, '0'),
    keyMatches: named === undefined ? undefined : named === checksum,
    tenant: view.tenant,
    fingerprint: view.fingerprint.toString(16).padStart(16, '0'),
    labels: canonicalText(view.metric),
    from: timeOfMs(view.fromMs),
    through: timeOfMs(view.throughMs),
    version: view.version,
    encoding: view.encoding,
    entries: view.blocks.reduce((sum, { count }) => sum + count, 0),
    blocks: view.blocks.map((_, index) => inspectBlock(view, index)),
  };
  return { report, view };
};

const keyText = (keyMatches: boolean | undefined): string => {
  if (keyMatches === undefined) return '';
  return keyMatches ? ', as in its name' : ', NOT as in its name';
};

const printReport = async (terminal: Terminal, report: ChunkReport): Promise<void> => {
  const plainBytes = report.blocks.reduce((sum, block) => sum + block.plainBytes, 0);
  const ratio = plainBytes > 0 ? `, ${(plainBytes / report.bytes).toFixed(1)} : 1` : '';
  const lines = [
    report.file,
    `  tenant       ${report.tenant}`,
    `  stream       ${report.labels}`,
    `  fingerprint  ${report.fingerprint}`,
    `  range        ${report.from} … ${report.through}`,
    `  format       v${report.version}, ${report.encoding}`,
    `  size         ${report.bytes} bytes for ${plainBytes}${ratio}`,
    `  checksum     ${report.checksum}${keyText(report.keyMatches)}`,
    `  entries      ${report.entries} in ${report.blocks.length} blocks`,
    '',
  ];
  for (const line of lines) await terminal.line(line);
  const rows = report.blocks.map((block, index) => [
    `  ${index}`,
    String(block.entries),
    block.from,
    block.through,
    String(block.offset),
    String(block.bytes),
    String(block.plainBytes),
    block.checksum,
  ]);
  const header = ['  block', 'entries', 'from', 'through', 'offset', 'bytes', 'plain', 'checksum'];
  await terminal.line(tableText(header, rows));
};

/** Numbers of a v4 section: count, then name and value as symbol numbers. */
const metadataOf = (section: Uint8Array, symbols: readonly string[]): readonly string[] => {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of section) {
    value += (byte & 0x7f) * scale;
    scale *= 0x80;
    if (byte >= 0x80) continue;
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  return numbers.slice(1).map((number) => symbols[number] ?? '?');
};

const printEntries = async (terminal: Terminal, view: ChunkView, isJson: boolean): Promise<void> => {
  for (let index = 0; index < view.blocks.length; index += 1) {
    const plain = view.inflateBlock(index);
    const cursor = new BlockCursor(plain, view.hasMetadataSections);
    while (cursor.next()) {
      const line = plain.toString('utf8', cursor.lineStart, cursor.lineEnd);
      const section = plain.subarray(cursor.sectionStart, cursor.sectionEnd);
      const metadata = section.length > 0 ? metadataOf(section, view.symbols()) : [];
      const timeNs = cursor.timeNs();
      const text = isJson
        ? JSON.stringify({ block: index, timestampNs: String(timeNs), line, metadata })
        : `${formatTime(timeNs)} ${metadata.length > 0 ? `${canonicalText(metadata)} ` : ''}${line}`;
      await terminal.line(text);
    }
  }
};

export const runInspect = async (files: readonly string[], flags: InspectFlags, terminal: Terminal): Promise<void> => {
  const bad: string[] = [];
  for (const [index, file] of files.entries()) {
    const { report, view } = await inspect(file);
    const isGood = report.keyMatches !== false && report.blocks.every(({ checksum }) => checksum === 'ok');
    if (!isGood) bad.push(file);
    if (flags.json && !flags.entries) await terminal.line(JSON.stringify(report));
    else if (!flags.json) {
      if (index > 0) await terminal.line('');
      await printReport(terminal, report);
    }
    if (flags.entries && isGood) await printEntries(terminal, view, flags.json === true);
  }
  if (bad.length > 0) throw new CommandError(`damaged: ${bad.join(', ')}`);
};
