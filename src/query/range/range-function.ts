/** How a window of a range aggregation becomes one number. */
export type RangeFunction = CountFunction | ValuesFunction | AbsentFunction;

/** From the number of entries and, for bytes, their size. Never called for an empty window. */
export interface CountFunction {
  readonly kind: 'count' | 'bytes';
  readonly of: (amount: number, rangeSeconds: number) => number;
}

/** From unwrapped values in time order. Never called for an empty window. */
export interface ValuesFunction {
  readonly kind: 'values';
  /** True if the order of the values makes no difference, nor do their times: they may come in any. */
  readonly takesAnyOrder?: boolean;
  readonly of: (window: ValueWindow) => number;
}

export interface AbsentFunction {
  readonly kind: 'absent';
}

/** Values [first, end) of one series. */
export interface ValueWindow {
  readonly values: Float64Array;
  /** ns, relative to whatever. */
  readonly times: Float64Array;
  first: number;
  end: number;
  readonly rangeSeconds: number;
  /** quantile_over_time's q. */
  readonly parameter: number;
}
