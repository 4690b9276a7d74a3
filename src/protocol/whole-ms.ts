export const NS_PER_MS = 1_000_000n;

/** The ms that a time lies in, as keys of chunks have them: rounded down, before 1970 too. Rounded up is `-floorMs(-ns)`. */
export const floorMs = (ns: bigint): number => Number(ns / NS_PER_MS) - (ns % NS_PER_MS < 0n ? 1 : 0);
