import type { PushSample } from './resize.ts';

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [900, 320, 60, 40, 30];
const CURVES = [
  { name: 'p50', share: 0.5, colour: '#2a7' },
  { name: 'p99', share: 0.99, colour: '#e80' },
  { name: 'most', share: 1, colour: '#c33' },
] as const;
const SECOND = 1000;

/** Latency of pushes, second by second, on a logarithmic scale; the marks begin phases. */
export const resizeSvg = (
  samples: readonly PushSample[],
  marks: readonly { readonly atMs: number; readonly text: string }[],
): string => {
  const fromMs = marks[0]?.atMs ?? 0;
  const seconds: number[][] = [];
  for (const { atMs, ms } of samples) {
    if (atMs < fromMs) continue;
    const second = Math.floor((atMs - fromMs) / SECOND);
    const times = seconds[second] ?? [];
    seconds[second] = times;
    times.push(ms);
  }
  const most = Math.max(10, ...samples.filter(({ atMs }) => atMs >= fromMs).map(({ ms }) => ms));
  const decades = Math.ceil(Math.log10(most));
  const x = (second: number): number => LEFT + (second / Math.max(1, seconds.length)) * (WIDTH - LEFT - 10);
  const y = (ms: number): number => HEIGHT - BOTTOM - (Math.log10(Math.max(1, ms)) / decades) * (HEIGHT - BOTTOM - TOP);
  const lines = Array.from({ length: decades + 1 }, (_, power) => {
    const height = y(10 ** power).toFixed(1);
    return `<path d="M${LEFT} ${height}H${WIDTH - 10}" stroke="#ddd"/><text x="${LEFT - 6}" y="${height}" text-anchor="end">${10 ** power} ms</text>`;
  });
  const phases = marks.map(({ atMs, text }) => {
    const at = x((atMs - fromMs) / SECOND).toFixed(1);
    return `<path d="M${at} ${TOP}V${HEIGHT - BOTTOM}" stroke="#999" stroke-dasharray="3"/><text x="${at}" y="${TOP - 8}">${text}</text>`;
  });
  const curves = CURVES.map(({ share, colour }) => {
    const points = seconds.flatMap((times, second) => {
      const sorted = [...times].sort((left, right) => left - right);
      const ms = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
      return [`${x(second).toFixed(1)},${y(ms).toFixed(1)}`];
    });
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
  });
  const legend = CURVES.map(
    ({ name, colour }, index) => `<text x="${LEFT + index * 60}" y="${HEIGHT - 10}" fill="${colour}">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${[...lines, ...phases, ...curves, ...legend].join('\n')}
<text x="${WIDTH - 10}" y="${HEIGHT - 10}" text-anchor="end">latency of pushes by second, ${seconds.length} s in all</text>
</svg>
`;
};
