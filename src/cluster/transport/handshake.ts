/** The first packets of a link. */
import { encodePacket, FRAME, type Hello, helloOf } from './frame.ts';
import type { Pipe } from './pipe.ts';

/** Versions of the protocol that this code speaks. */
export const PROTOCOL = { min: 1, max: 4 };

export interface Self {
  readonly nodeId: string;
  readonly incarnation: number;
  readonly clusterUid: string;
}

export const sendHello = (pipe: Pipe, hello: Hello): void => pipe.write(encodePacket([{ type: FRAME.hello, hello }]));

/** Why `hello` is no answer to, or no request for, a link of ours; undefined: it is one. */
export const refusalOfHello = (hello: Hello, self: Self): string | undefined => {
  if (hello.clusterUid !== self.clusterUid) return `this is cluster ${self.clusterUid}, not ${hello.clusterUid}`;
  if (hello.toNodeId !== self.nodeId) return `this is node ${self.nodeId}, not ${hello.toNodeId}`;
  if (hello.toIncarnation !== self.incarnation) {
    return `this is incarnation ${self.incarnation} of ${self.nodeId}, not ${hello.toIncarnation}`;
  }
  if (hello.protocolMin > PROTOCOL.max || hello.protocolMax < PROTOCOL.min) {
    return `this node speaks protocol ${PROTOCOL.min} to ${PROTOCOL.max}, not ${hello.protocolMin} to ${hello.protocolMax}`;
  }
  return hello.nodeId === self.nodeId ? 'a node needs no link to itself' : undefined;
};

/** Calls back once: with the other side's hello, in the turn in which it came (more packets may follow in it), or with why it did not. */
export const awaitHello = (
  pipe: Pipe,
  onHello: (hello: Hello) => void,
  onFailure: (error: Error) => void,
): { readonly cancel: (error: Error) => void } => {
  let isSettled = false;
  const fail = (error: Error): void => {
    if (isSettled) return;
    isSettled = true;
    onFailure(error);
  };
  pipe.onClose = (error) => fail(error ?? new Error('the other side ended the link'));
  pipe.onPacket = (packet) => {
    if (isSettled) return;
    let hello: Hello;
    try {
      hello = helloOf(packet);
    } catch (error) {
      fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    isSettled = true;
    onHello(hello);
  };
  return { cancel: fail };
};
