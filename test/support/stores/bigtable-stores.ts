/** Bigtable index stores on an emulator. */
import { holdProcess } from '../../../src/hold-process.ts';
import type { Clock } from '../../../src/protocol/clock.ts';
import { BigtableIndexStore, type BigtableIndexStoreOptions } from '../../../src/storage/bigtable-index-store.ts';
import { systemClock } from '../../../src/system-clock.ts';

let instances = 0;

/** An instance that nothing was written to: the emulator takes any name. */
export const newInstance = (): string => `instance-${++instances}`;

export const bigtableOptions = (
  emulatorHost: string,
  overrides: Partial<BigtableIndexStoreOptions> = {},
): BigtableIndexStoreOptions => ({
  project: 'test',
  instance: newInstance(),
  appProfile: '',
  layout: 'bigtable-hashed',
  emulatorHost,
  periods: [],
  graceMs: 600_000,
  retentionMs: 0,
  listAgeMs: 0,
  pollMs: 3_600_000,
  ...overrides,
});

export const openBigtable = (
  options: BigtableIndexStoreOptions,
  report: (problem: string, error: unknown) => void = () => undefined,
  clock: Clock = systemClock,
): Promise<BigtableIndexStore> => BigtableIndexStore.open(options, { clock, chance: Math.random, report, holdProcess });
