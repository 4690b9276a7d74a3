export interface LogOptions {
  /** Of the data folder: 32 hex digits. */
  readonly uid: string;
  /** Of this process. */
  readonly incarnation: number;
  readonly fileSizeMax: number;
  /** Bytes of each half of the double buffer. */
  readonly batchSizeMax: number;
  readonly waitingMax: number;
  readonly roomWaitMsMax: number;
  readonly commitWaitMsMax: number;
  /** `fsync`: acknowledged entries survive power loss; `os`: the end of the process. */
  readonly sync: 'fsync' | 'os';
  /** In [0, 1]: over it entries are refused, so that flushes can still be recorded. */
  readonly diskUsedMax: number;
  readonly spaceCheckMs: number;
  readonly compactAgeMs: number;
  readonly compactLiveShareMax: number;
  readonly tidyPeriodMs: number;
}

/** All but the names; see there for units. Chosen; the sizes after `npm run bench -- micro log`. */
export const DEFAULT_LOG_OPTIONS: Omit<LogOptions, 'uid' | 'incarnation'> = {
  fileSizeMax: 64 << 20,
  batchSizeMax: 8 << 20,
  waitingMax: 10_000,
  roomWaitMsMax: 5000,
  commitWaitMsMax: 15_000,
  sync: 'fsync',
  diskUsedMax: 0.9,
  spaceCheckMs: 1000,
  compactAgeMs: 30 * 60_000,
  compactLiveShareMax: 0.25,
  tidyPeriodMs: 10_000,
};
