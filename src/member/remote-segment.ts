import { isLogged, type LoggedSegment, type UnflushedSegment } from '../chunk/memory-format.ts';

/** A segment that another member holds: a place in what it selected for this node. */
export interface RemoteSegment extends LoggedSegment {
  readonly at: { readonly nodeId: string; readonly selection: number; readonly place: number };
}

export const isRemote = (segment: UnflushedSegment): segment is RemoteSegment => isLogged(segment) && 'at' in segment;
