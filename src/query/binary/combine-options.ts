import type { Turns } from '../turns.ts';

/** How two vectors are combined. */
export interface CombineOptions {
  readonly stepCount: number;
  readonly turns: Turns;
}
