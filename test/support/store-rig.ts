/** Stores that commands work on, and a node over them, one at a time: for tests of `ringlog copy` and `ringlog store check`. */
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { type RinglogNode, startNode } from '../../src/node.ts';
import { sharedWorkers, testConfig } from './cluster.ts';
import { GcsServer } from './gcs/gcs-server.ts';

const STOP_MS = 5_000;

export class StoreRig {
  /** Of everything embedded; removed at the end. */
  readonly folder: string;
  /** Has the bucket `chunks`. */
  readonly server: GcsServer;
  #node: RinglogNode | undefined;

  private constructor(folder: string, server: GcsServer) {
    this.folder = folder;
    this.server = server;
  }

  static async open(): Promise<StoreRig> {
    return new StoreRig(await mkdtemp(path.join(os.tmpdir(), 'ringlog-stores-')), await GcsServer.start());
  }

  async close(): Promise<void> {
    await this.stop();
    await this.server.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  /** The node over these stores, in place of the one before. */
  async start(settings: object): Promise<RinglogNode> {
    await this.stop();
    this.#node = await startNode(testConfig({ ...settings }), { workers: sharedWorkers() });
    return this.#node;
  }

  async stop(): Promise<void> {
    await this.#node?.stop({ deadlineMs: STOP_MS });
    this.#node = undefined;
  }

  /** Settings of stores in a folder of that name. No periods: one of v13. */
  embedded(name: string, ...periods: readonly object[]): object {
    return {
      data_dir: path.join(this.folder, name),
      schema_config: { configs: periods.length > 0 ? periods : [{ from: '2020-01-01', schema: 'v13' }] },
    };
  }

  /** The same with chunks in the bucket. */
  inBucket(name: string, ...periods: readonly object[]): object {
    return {
      ...this.embedded(name, ...periods.map((period) => ({ ...period, object_store: 'gcs' }))),
      storage_config: { gcs: { bucket_name: 'chunks', api_endpoint: this.server.url } },
    };
  }
}
