/** Nodes of one cluster in this process: over gRPC on loopback, with stores in memory and disks that outlive them. */

import { EmbeddedStore } from '../../src/cluster/membership/embedded-store.ts';
import { StoreClient } from '../../src/cluster/membership/store-client.ts';
import { type StoreServer, serveStore } from '../../src/cluster/membership/store-server.ts';
import type { ConfigInput } from '../../src/config.ts';
import type { NodeDeps } from '../../src/node.ts';
import { systemClock } from '../../src/system-clock.ts';
import { linesOf, startTestNode, type TestNode } from './cluster.ts';
import { pushOf, type TestEntry } from './entries.ts';
import { PowerLossFiles } from './log/power-loss-files.ts';
import { MemoryChunkStore } from './stores/memory-chunk-store.ts';
import { MemoryIndexStore } from './stores/memory-index-store.ts';

const hex = (number: number): string => number.toString(16).padStart(32, '0');

export class ClusterRig {
  readonly chunks = new MemoryChunkStore();
  readonly index = new MemoryIndexStore();
  readonly nodes = new Map<string, TestNode>();
  readonly disks = new Map<string, PowerLossFiles>();
  readonly #settings: ConfigInput;
  readonly #members: EmbeddedStore;
  readonly #server: StoreServer;
  #incarnation = 0;

  private constructor(settings: ConfigInput, members: EmbeddedStore, server: StoreServer) {
    this.#settings = settings;
    this.#members = members;
    this.#server = server;
  }

  static async open(settings: ConfigInput = {}): Promise<ClusterRig> {
    const members = await EmbeddedStore.open({ clock: systemClock });
    return new ClusterRig(settings, members, await serveStore(members, { port: 0 }));
  }

  /** @param own settings of this node alone */
  async start(
    nodeId: string,
    deps: Pick<NodeDeps, 'workers' | 'startPeers'> = {},
    own: ConfigInput = {},
  ): Promise<TestNode> {
    this.#incarnation += 1;
    const disk = this.disks.get(nodeId) ?? new PowerLossFiles();
    this.disks.set(nodeId, disk);
    const uid = hex([...this.disks.keys()].indexOf(nodeId) + 1);
    const cluster = {
      enabled: true,
      node_id: nodeId,
      listen: '127.0.0.1:0',
      linger: '300ms',
      unsafe_short_linger: true,
    };
    const node = await startTestNode(
      { ...this.#settings, ...own, cluster: { ...cluster, ...(this.#settings['cluster'] as object) } },
      {
        chunks: this.chunks,
        index: this.index,
        logDisk: { files: disk.process(), identity: { uid, incarnation: this.#incarnation } },
        members: new StoreClient({ clock: systemClock, address: this.#server.address }),
        ...deps,
      },
    );
    this.nodes.set(nodeId, node);
    return node;
  }

  node(nodeId: string): TestNode {
    const node = this.nodes.get(nodeId);
    if (!node) throw new Error(`no node ${nodeId}`);
    return node;
  }

  disk(nodeId: string): PowerLossFiles {
    const disk = this.disks.get(nodeId);
    if (!disk) throw new Error(`no disk of ${nodeId}`);
    return disk;
  }

  /** Hands everything over and stops. @returns whether nothing is left on its disk */
  async leave(nodeId: string, deadlineMs = 20_000): Promise<boolean> {
    const { node } = this.node(nodeId);
    const isEmpty = (await node.cluster?.leave(deadlineMs)) ?? false;
    this.nodes.delete(nodeId);
    await node.stop({ deadlineMs: 1000 });
    return isEmpty;
  }

  /** Gone at once, with what was not synced. Its lease lasts. */
  async kill(nodeId: string): Promise<void> {
    const { node } = this.node(nodeId);
    this.nodes.delete(nodeId);
    this.disks.get(nodeId)?.kill();
    await node.stop({ deadlineMs: 0 }).catch(() => undefined);
  }

  async push(nodeId: string, streams: Readonly<Record<string, readonly TestEntry[]>>) {
    return await this.node(nodeId).node.services.push('tenant', pushOf(streams));
  }

  async lines(nodeId: string, query: string): Promise<readonly string[]> {
    return await linesOf(this.node(nodeId).node, query);
  }

  async close(): Promise<void> {
    for (const nodeId of [...this.nodes.keys()]) await this.kill(nodeId);
    await this.#server.close();
    await this.#members.close();
  }
}
