/** HTTP/2 flow control of a grpc-js server. */
import type { Server } from '@grpc/grpc-js';

/** The default, 64 KiB, costs a round trip for each 64 KiB: 65 MB/s at 1 ms. Chosen: as much as one part. */
export const FLOW_WINDOW_BYTES = 1 << 20;

interface Session {
  readonly destroyed: boolean;
  readonly state: { readonly effectiveLocalWindowSize?: number };
  setLocalWindowSize(bytes: number): void;
}

/** grpc-js 1.14 has an option for its client only. These fields are private there: where they are gone, the default stays. */
interface Internals {
  readonly commonServerOptions?: { settings?: Record<string, number> };
  readonly sessions?: ReadonlyMap<Session, unknown>;
}

/** Of streams: before the server is bound. */
export const widenWindows = (server: Server): void => {
  const { commonServerOptions } = server as unknown as Internals;
  if (!commonServerOptions) return;
  commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: FLOW_WINDOW_BYTES };
};

/** Of connections, those that are not wide yet: HTTP/2 counts all streams of one together as well. */
export const widenConnections = (server: Server): void => {
  for (const session of (server as unknown as Internals).sessions?.keys() ?? []) {
    // Those that ended a moment ago are still there.
    if (session.destroyed || (session.state.effectiveLocalWindowSize ?? 0) >= FLOW_WINDOW_BYTES) continue;
    session.setLocalWindowSize(FLOW_WINDOW_BYTES);
  }
};
