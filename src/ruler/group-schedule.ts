/** When a group is evaluated: at the multiples of its interval, moved by a hash of its name, the same at every node. Times in ms. */
import { createHash } from 'node:crypto';
import { type GroupId, groupKey } from './rule-group.ts';

/** In [0, intervalMs). */
export const offsetOf = (id: GroupId, intervalMs: number): number =>
  createHash('md5').update(groupKey(id)).digest().readUInt32BE(0) % intervalMs;

/** The first time after `nowMs`. */
export const nextTime = (nowMs: number, intervalMs: number, offsetMs: number): number =>
  Math.floor((nowMs - offsetMs) / intervalMs) * intervalMs + offsetMs + intervalMs;

/** Those that have passed since the one at `atMs`, which is not counted. */
export const missedSince = (atMs: number, nowMs: number, intervalMs: number): number =>
  Math.max(0, Math.floor((nowMs - atMs) / intervalMs));
