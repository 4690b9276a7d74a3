/** The work nobody can avoid, measured in this process: compressing the lines, inflating the blocks. CPU-seconds per GB of line bytes. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import zlib from 'node:zlib';
import { decodeChunk } from '../../../src/chunk/chunk-object.ts';

const cpuSecondsOf = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const used = process.cpuUsage(before);
  return (used.user + used.system) / 1e6;
};

export interface BareGzip {
  /** CPU-seconds per GB of line bytes. */
  readonly cpuPerGb: number;
  readonly ratio: number;
}

/** gzipSync over bare blocks of lines. */
export const bareGzip = (blocks: readonly Buffer[], level: number): BareGzip => {
  let compressed = 0;
  const seconds = cpuSecondsOf(() => {
    for (const block of blocks) compressed += zlib.gzipSync(block, { level }).length;
  });
  const size = blocks.reduce((sum, block) => sum + block.length, 0);
  return { cpuPerGb: seconds / (size / 1e9), ratio: size / compressed };
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
