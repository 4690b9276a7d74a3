let lastScan = 0;

/** Unique in this process: workers keep compiled plans under it. */
export const nextScanId = (): string => {
  lastScan += 1;
  return String(lastScan);
};
