import { connect } from 'node:net';

/** Sends bytes as they are and gives back everything the server says until it closes or `quietMs` pass. */
export const sendRaw = (address: string, bytes: string | Buffer, quietMs = 1500): Promise<string> => {
  const [host, port] = address.split(':');
  return new Promise((resolve) => {
    const socket = connect(Number(port), host ?? '');
    let answer = '';
    socket.setTimeout(quietMs, () => socket.destroy());
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(answer));
    socket.write(bytes);
  });
};
