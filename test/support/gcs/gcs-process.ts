/** The server in a process of its own, for loads: tells its URL to its parent, and ends with it. */
import { GcsServer } from './gcs-server.ts';

const server = await GcsServer.start({ objectsMax: 64 });
process.once('disconnect', () => process.exit(0));
process.send?.(server.url);
