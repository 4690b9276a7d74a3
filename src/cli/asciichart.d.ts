declare module 'asciichart' {
  interface PlotOptions {
    readonly height?: number;
    readonly min?: number;
    readonly max?: number;
    readonly colors?: readonly (string | undefined)[];
    readonly format?: (value: number) => string;
  }
  const asciichart: {
    plot(series: readonly (readonly number[])[], options?: PlotOptions): string;
  };
  export = asciichart;
}
