import { isLogged, type SegmentSnapshot, type UnflushedSegment } from '../chunk/memory-format.ts';
import type { QueryContext } from './query-context.ts';
import type { MemoryStream } from './query-source.ts';
import type { MemoryPart } from './scan/scan-messages.ts';

/** What a task gets: segments that lie in the log are brought into memory, for this task only. @throws RefusedError INTERNAL */
export const loadMemory = (context: QueryContext, streams: readonly MemoryStream[]): Promise<readonly MemoryPart[]> =>
  Promise.all(
    streams.map(async ({ labels, segments }) => ({
      labels,
      segments: segments.every(isLoaded) ? segments : await Promise.all(segments.map((one) => load(context, one))),
    })),
  );

const isLoaded = (segment: UnflushedSegment): segment is SegmentSnapshot => !isLogged(segment);

const load = async (context: QueryContext, segment: UnflushedSegment): Promise<SegmentSnapshot> =>
  isLogged(segment) ? await context.orStop(segment.load()) : segment;
