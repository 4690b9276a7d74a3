/**
 * Gives memory back before the garbage collector does. V8 frees a buffer at its next collection, so block after block is inflated into
 * fresh pages, and the buffers waiting bring collections of the whole heap about: together up to half the time of inflating.
 *
 * Moving a buffer to a closed port frees it within the call (2–3 µs), and malloc hands the same warm pages to the next block.
 */
import { MessageChannel } from 'node:worker_threads';

/**
 * What is as large as Node's pool may be that pool, in which other buffers lie. Anything larger is worth it: with 32 KB as the least a push of 12 KB that went on
 * to another node took 1.0 ms of CPU instead of 0.86, and the nodes collected five times as often.
 */
const POOL_BYTES = 8 << 10;

const { port1: nowhere, port2 } = new MessageChannel();
port2.close();

/** Nobody may read `bytes`, or another view of their buffer, any more: they are empty from here on. For buffers that Node or V8 made. */
export const releaseMemory = ({ buffer }: ArrayBufferView): void => {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength <= Math.max(POOL_BYTES, Buffer.poolSize)) return;
  try {
    nowhere.postMessage(null, [buffer]);
  } catch {
    // Memory of a native addon, which newer versions of Node do not move: the collector frees it.
  }
};
