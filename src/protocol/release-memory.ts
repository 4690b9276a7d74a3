/**
 * Gives memory back before the garbage collector does. V8 frees a buffer at its next collection, so block after block is inflated into
 * fresh pages, and the buffers waiting bring collections of the whole heap about: together up to half the time of inflating.
 *
 * Moving a buffer to a closed port frees it within the call (2–3 µs), and malloc hands the same warm pages to the next block.
 */
import { MessageChannel } from 'node:worker_threads';

/**
 * What is as large as Node's pool may be that pool, in which other buffers lie. Not more: pushes of 10 KB that waited for the collector took two thirds
 * as much CPU again as a node's own work when they went on to another.
 */
const POOL_BYTES = 8 << 10;

const { port1: nowhere, port2 } = new MessageChannel();
port2.close();

/** Nobody may read `bytes`, or another view of their buffer, any more: they are empty from here on. For buffers that Node or V8 made. */
export const releaseMemory = ({ buffer }: ArrayBufferView): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Math.max(POOL_BYTES, Buffer.poolSize)) {
    nowhere.postMessage(null, [buffer]);
  }
};
