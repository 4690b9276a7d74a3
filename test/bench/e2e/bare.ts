/** The work nobody can avoid, measured in this process: compressing the lines, inflating the blocks. CPU-seconds per GB of line bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';
import { type CorpusStream, LineSource } from '../../support/corpus.ts';

const BLOCK_BYTES = 262_144;

const cpuSecondsOf = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1e6;
};

/** Blocks of 256 KiB, one system a block, as many as `sampleBytes` hold. */
const sampleBlocks = (
  streams: readonly CorpusStream[],
  sampleBytes: number,
): { blocks: Buffer[]; lineBytes: number } => {
  const blocks: Buffer[] = [];
  let lineBytes = 0;
  for (let index = 0; lineBytes < sampleBytes; index += 1) {
    const stream = streams[index % streams.length] as CorpusStream;
    const source = new LineSource(stream.system, index + 1);
    const lines: string[] = [];
    let bytes = 0;
    for (let n = 0; bytes < BLOCK_BYTES; n += 1) {
      const line = source.next(1_700_000_000_000 + n * 7);
      lines.push(line);
      bytes += line.length;
    }
    blocks.push(Buffer.from(lines.join('\n')));
    lineBytes += bytes;
  }
  return { blocks, lineBytes };
};

export interface BareGzip {
  readonly cpuPerGb: number;
  readonly ratio: number;
}

export const bareGzip = (streams: readonly CorpusStream[], level: number, sampleBytes = 64e6): BareGzip => {
  const { blocks, lineBytes } = sampleBlocks(streams, sampleBytes);
  let compressed = 0;
  const seconds = cpuSecondsOf(() => {
    for (const block of blocks) compressed += zlib.gzipSync(block, { level }).length;
  });
  return { cpuPerGb: seconds / (lineBytes / 1e9), ratio: lineBytes / compressed };
};

export interface StoredBlocks {
  /** Compressed blocks of the chunks whose labels pass. */
  readonly blocks: readonly { readonly bytes: Uint8Array; readonly size: number }[];
  readonly lineBytes: number;
  readonly compressedBytes: number;
}

/** All blocks stored below `folder` whose stream passes. */
export const storedBlocks = (
  folder: string,
  passes: (labels: ReadonlyMap<string, string>) => boolean,
): StoredBlocks => {
  const blocks: { bytes: Uint8Array; size: number }[] = [];
  let lineBytes = 0;
  let compressedBytes = 0;
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const file = path.join(folder, name);
    let bytes: Buffer;
    try {
      bytes = readFileSync(file);
    } catch {
      continue; // a folder
    }
    const chunk = decodeChunk(bytes);
    const labels = new Map<string, string>();
    for (let index = 0; index < chunk.labels.length; index += 2) {
      labels.set(chunk.labels[index] as string, chunk.labels[index + 1] as string);
    }
    if (!passes(labels)) continue;
    chunk.blocks.forEach((meta, index) => {
      const block = Buffer.from(chunk.blockBytes(index));
      blocks.push({ bytes: block, size: block.readUInt32LE(block.length - 4) });
      lineBytes += meta.uncompressedSize;
      compressedBytes += block.length;
    });
  }
  return { blocks, lineBytes, compressedBytes };
};

/** The best way Node has to inflate a gzip member of known size. */
export const bareInflate = (stored: StoredBlocks): number =>
  cpuSecondsOf(() => {
    for (const { bytes, size } of stored.blocks) {
      zlib.inflateRawSync(bytes.subarray(10, bytes.length - 8), { chunkSize: Math.max(64, size + 1) });
    }
  }) /
  (stored.lineBytes / 1e9);
