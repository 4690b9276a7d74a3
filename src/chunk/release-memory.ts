/**
 * Gives memory back before the garbage collector does. V8 frees a buffer at its next collection, so block after block is inflated into
 * fresh pages, and the buffers waiting bring collections of the whole heap about: together up to half the time of inflating.
 *
 * Moving a buffer to a closed port frees it within the call (2–3 µs), and malloc hands the same warm pages to the next block.
 */
import { MessageChannel } from 'node:worker_threads';

/** Smaller buffers may lie in Node's shared pool, which cannot be moved, and gain nothing. */
const SIZE_MIN = 32 << 10;

const { port1: nowhere, port2 } = new MessageChannel();
port2.close();

/** Nobody may read `bytes`, or another view of their buffer, any more: they are empty from here on. For buffers that Node or V8 made. */
export const releaseMemory = ({ buffer }: Uint8Array): void => {
  if (buffer instanceof ArrayBuffer && buffer.byteLength >= SIZE_MIN) nowhere.postMessage(null, [buffer]);
};
