import { rm } from 'node:fs/promises';
import net from 'node:net';
import { MembershipError, textOf } from './membership-error.ts';
import type { MembershipStore } from './membership-store.ts';
import { type ClientFrame, readFrames, type ServerFrame, type StoreCall, writeFrame } from './store-frames.ts';

/** Where the store is served: a Unix-domain socket, or a port of loopback. Nobody is asked who they are, so no other address. */
export type StoreAddress = { readonly path: string } | { readonly port: number };

export interface StoreServer {
  readonly address: StoreAddress;
  /** Ends the connections; the store stays open. */
  close(): Promise<void>;
}

export const LOOPBACK = '127.0.0.1';

/**
 * Serves a store to other processes of this machine. A socket that a process left behind is replaced; port 0 takes a free one.
 * @throws MembershipError UNAVAILABLE if the address is in use
 */
export const serveStore = async (store: MembershipStore, address: StoreAddress): Promise<StoreServer> => {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serveSocket(store, socket);
  });
  if ('path' in address && !(await isAnswered(address.path))) await rm(address.path, { force: true });
  await listening(server, address);
  return {
    address: 'path' in address ? address : { port: (server.address() as net.AddressInfo).port },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
};

const serveSocket = (store: MembershipStore, socket: net.Socket): void => {
  const watches = new Map<number, () => void>();
  const send = (frame: ServerFrame): void => writeFrame(socket, frame);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    for (const cancel of watches.values()) cancel();
  });
  readFrames<ClientFrame>(socket, (frame) => {
    const { id } = frame;
    switch (frame.type) {
      case 'call':
        perform(store, frame.call, frame.deadlineMs).then(
          (answer) => send({ type: 'answer', id, answer: answer ?? null }),
          (error: unknown) => send({ type: 'refusal', id, refusal: refusalOf(error) }),
        );
        return;
      case 'watch': {
        const cancel = store.watch(frame.prefix, frame.from, {
          onEvents: (revision, events) => send({ type: 'events', id, revision, events }),
          onProgress: (revision) => send({ type: 'progress', id, revision }),
          onReset: () => send({ type: 'reset', id }),
        });
        watches.set(id, cancel);
        return;
      }
      case 'cancel':
        watches.get(id)?.();
        watches.delete(id);
    }
  });
};

const perform = (store: MembershipStore, call: StoreCall, deadlineMs: number): Promise<unknown> => {
  switch (call.type) {
    case 'range':
      return store.range(call.prefix, deadlineMs);
    case 'transaction':
      return store.transaction(call.guards, call.operations, deadlineMs);
    case 'grant':
      return store.grant(call.ttlMs, deadlineMs);
    case 'keepAlive':
      return store.keepAlive(call.lease, deadlineMs);
    case 'revoke':
      return store.revoke(call.lease, deadlineMs);
  }
};

const refusalOf = (error: unknown) =>
  error instanceof MembershipError ? error.refusal : ({ code: 'UNAVAILABLE', text: textOf(error) } as const);

const listening = (server: net.Server, address: StoreAddress): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const text = `cannot serve the membership store: ${error.message}`;
      reject(new MembershipError({ code: 'UNAVAILABLE', text }, { cause: error }));
    });
    server.listen('path' in address ? address : { ...address, host: LOOPBACK }, resolve);
  });

const isAnswered = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = net.connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
