import type { Socket } from 'node:net';
import type { MembershipRefusal } from './membership-error.ts';
import type { Guard, KeyEvent, LeaseId, Operation } from './membership-store.ts';

/**
 * What goes over the embedded store's socket: `length: u32 big-endian | JSON`. Both ends are of one machine and one version of ringlog.
 */
export type StoreCall =
  | { readonly type: 'range'; readonly prefix: string }
  | { readonly type: 'transaction'; readonly guards: readonly Guard[]; readonly operations: readonly Operation[] }
  | { readonly type: 'grant'; readonly ttlMs: number }
  | { readonly type: 'keepAlive'; readonly lease: LeaseId }
  | { readonly type: 'revoke'; readonly lease: LeaseId };

/** From a client. `id`: counted by it, over all connections. */
export type ClientFrame =
  | { readonly type: 'call'; readonly id: number; readonly deadlineMs: number; readonly call: StoreCall }
  | { readonly type: 'watch'; readonly id: number; readonly prefix: string; readonly from: number }
  | { readonly type: 'cancel'; readonly id: number };

/** From the server; `id` of the call or the watch. */
export type ServerFrame =
  | { readonly type: 'answer'; readonly id: number; readonly answer: unknown }
  | { readonly type: 'refusal'; readonly id: number; readonly refusal: MembershipRefusal }
  | { readonly type: 'events'; readonly id: number; readonly revision: number; readonly events: readonly KeyEvent[] }
  | { readonly type: 'progress'; readonly id: number; readonly revision: number }
  | { readonly type: 'reset'; readonly id: number };

/** A cluster's keys are some kilobytes; more than this is no frame of ours. */
const FRAME_SIZE_MAX = 16 * 1024 * 1024;
const HEADER_SIZE = 4;

export const writeFrame = (socket: Socket, frame: ClientFrame | ServerFrame): void => {
  if (socket.destroyed) return;
  const body = Buffer.from(JSON.stringify(frame));
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt32BE(body.length);
  socket.write(Buffer.concat([header, body]));
};

/** Calls back for each whole frame; destroys the socket at what is none. */
export const readFrames = <T>(socket: Socket, receive: (frame: T) => void): void => {
  let pending = Buffer.alloc(0);
  socket.on('data', (bytes) => {
    pending = Buffer.concat([pending, bytes as Buffer]);
    while (pending.length >= HEADER_SIZE) {
      const end = HEADER_SIZE + pending.readUInt32BE(0);
      if (end > FRAME_SIZE_MAX) {
        socket.destroy();
        return;
      }
      if (pending.length < end) return;
      const body = pending.subarray(HEADER_SIZE, end);
      pending = pending.subarray(end);
      let frame: T;
      try {
        frame = JSON.parse(body.toString()) as T;
      } catch {
        socket.destroy();
        return;
      }
      receive(frame);
    }
  });
};
