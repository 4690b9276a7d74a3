/** Paths of the gRPC methods, and the little that is read of their messages besides pushes. */
export const PUSH_PATH = '/logproto.Pusher/Push';
export const OTLP_LOGS_PATH = '/opentelemetry.proto.collector.logs.v1.LogsService/Export';
export const HEALTH_PATH = '/grpc.health.v1.Health/Check';

/** HealthCheckResponse{status=1}: SERVING, NOT_SERVING. */
export const SERVING = Buffer.from([0x08, 0x01]);
export const NOT_SERVING = Buffer.from([0x08, 0x02]);

/** HealthCheckRequest{service=1}; "" when there is none or the bytes are not a message. */
export const healthService = (bytes: Uint8Array): string => {
  const size = bytes[1] ?? 0;
  const isText = bytes[0] === 0x0a && size < 0x80 && 2 + size <= bytes.length;
  return isText ? Buffer.from(bytes.subarray(2, 2 + size)).toString('utf8') : '';
};

/** google.rpc.Status{code=1}: in Loki's errors an HTTP status. undefined when the bytes do not start with one. */
export const statusCodeOfDetails = (bytes: Uint8Array): number | undefined => {
  if (bytes[0] !== 0x08) return undefined;
  let value = 0;
  for (let index = 1; index < Math.min(bytes.length, 6); index += 1) {
    const byte = bytes[index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * (index - 1));
    if (byte < 0x80) return value;
  }
  return undefined;
};
