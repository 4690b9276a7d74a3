import type { Entry } from './entry.ts';

/** Runs over one entry. False drops it. */
export type RunStage = (entry: Entry) => boolean;

/** A stage after its checks; `start` binds it to the entries of one stream (ids of names are known there). */
export interface CompiledStage {
  start(entry: Entry): RunStage;
}
