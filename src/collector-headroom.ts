import { constants, PerformanceObserver } from 'node:perf_hooks';
import v8 from 'node:v8';

/**
 * What may be allocated between two full collections. Chosen: the buffers of pushes that a young collection has not yet freed (twice
 * V8's young generation, 32 MB) plus the ballast of SharedMemoryPressure, with some room.
 */
const HEADROOM_BYTES = 112 << 20;
/** From this heap on V8's own growth leaves as much room. */
const OWN_GROWTH_BYTES = 192 << 20;
const FIRST_GROWTH_PERCENT = 400;

/**
 * Keeps V8 from collecting the whole heap for every 20 to 40 MB of pushes. V8 sizes the room between two full collections by the heap that
 * survives, which is small here (25 MB), but counts the buffers of pushes against it, 1.5 GB for each GB of lines. Measured
 * over 700 MB in 100 streams: 29 full collections and 15.1 CPU-s/GB without this, 7 and 12.6 with it. The flag holds for the whole process
 * and all its threads, so only a program that is a node, not one that embeds it, calls this.
 */
export const keepCollectorHeadroom = (): { close(): void } => {
  setGrowthPercent(FIRST_GROWTH_PERCENT);
  const observer = new PerformanceObserver((list) => {
    if (!list.getEntries().some(isFullCollection)) return;
    const { used_heap_size: heapBytes } = v8.getHeapStatistics();
    setGrowthPercent(growthPercent(heapBytes));
  });
  observer.observe({ entryTypes: ['gc'] });
  return {
    close: () => {
      observer.disconnect();
      setGrowthPercent(0);
    },
  };
};

/** Of the heap that survived; 0 leaves it to V8. */
export const growthPercent = (heapBytes: number): number =>
  heapBytes >= OWN_GROWTH_BYTES ? 0 : Math.ceil((100 * HEADROOM_BYTES) / Math.max(1 << 20, heapBytes));

const setGrowthPercent = (percent: number): void => v8.setFlagsFromString(`--heap-growing-percent=${percent}`);

/** The entry's `detail` is missing in the types. */
export const isFullCollection = (entry: object): boolean =>
  (entry as { readonly detail?: { readonly kind?: number } }).detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
