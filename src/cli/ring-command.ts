import type { Command } from 'commander';
import type { NodeStatus, RingStatus, StreamStatus } from '../member/cluster-services.ts';
import { askAdmin } from './admin-client.ts';
import { addServerOptions, parseCount, type ServerFlags } from './shared-options.ts';
import type { Terminal } from './terminal.ts';

interface RingFlags extends ServerFlags {
  readonly watch?: boolean;
  readonly json?: boolean;
}

const WATCH_MS = 1000;
const CLEAR = '\u001b[2J\u001b[H';
const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

export const bytesText = (bytes: number): string => {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit += 1) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
};

const rowOf = ({ nodeId, state, zone, ownership, httpAddress, figures }: NodeStatus): readonly string[] => [
  nodeId,
  figures ? state : `${state} (no answer)`,
  zone,
  `${(100 * ownership).toFixed(1)} %`,
  ...(figures
    ? [
        String(figures.streams),
        bytesText(figures.unflushedBytes),
        String(figures.loggedSegments),
        String(figures.moving),
        String(figures.lingering),
      ]
    : ['', '', '', '', '']),
  httpAddress,
];

const HEADINGS = ['NODE', 'STATE', 'ZONE', 'OWNS', 'STREAMS', 'UNFLUSHED', 'IN LOG', 'MOVING', 'LINGERING', 'HTTP'];

export const tableOf = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
};

const runRing = async (flags: RingFlags, terminal: Terminal): Promise<void> => {
  for (;;) {
    const text = await askAdmin({ addr: flags.addr, tenant: flags.tenant }, 'GET', '/ring');
    if (flags.json) await terminal.line(text);
    else {
      const { nodes, missing } = JSON.parse(text) as RingStatus;
      if (flags.watch && terminal.isColored) await terminal.raw(CLEAR);
      for (const line of tableOf([HEADINGS, ...nodes.map(rowOf)])) await terminal.line(line);
      for (const { nodeId } of missing) {
        await terminal.line(`${nodeId} left with unflushed entries on its disk: start it again`);
      }
    }
    if (!flags.watch) return;
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
  }
};

const runStream = async (selector: string, flags: RingFlags, terminal: Terminal): Promise<void> => {
  const text = await askAdmin(
    { addr: flags.addr, tenant: flags.tenant },
    'GET',
    `/stream?query=${encodeURIComponent(selector)}`,
  );
  if (flags.json) return await terminal.line(text);
  for (const { labels, owner, next, segments } of JSON.parse(text) as readonly StreamStatus[]) {
    await terminal.line(labels);
    await terminal.line(`  owner     ${owner ?? 'none'}${next.length > 0 ? `, then ${next.join(', ')}` : ''}`);
    if (segments.length === 0) await terminal.line('  unflushed nothing');
    for (const { segment, holders } of segments) await terminal.line(`  unflushed ${segment} at ${holders.join(', ')}`);
  }
};

export const addRingCommands = (program: Command, terminal: Terminal): void => {
  const ring = program
    .command('ring')
    .description('show the nodes of a cluster and what each of them has')
    .option('--watch', 'again every second')
    .option('--json', 'as JSON');
  addServerOptions(ring).action((flags: RingFlags) => runRing(flags, terminal));
  const stream = program
    .command('stream')
    .argument('<selector>', 'such as \'{app="web"}\'')
    .description('show which node owns a stream and who holds its unflushed entries')
    .option('--json', 'as JSON');
  addServerOptions(stream).action((selector: string, flags: RingFlags) => runStream(selector, flags, terminal));
  const weight = program
    .command('weight')
    .argument('<number>', '1 to 16; other nodes have 1 unless it was changed', parseCount)
    .description("change a node's share of the streams until it starts again");
  addServerOptions(weight).action(async (number: number, { addr, tenant }: ServerFlags) => {
    await askAdmin({ addr, tenant }, 'POST', `/weight?weight=${number}`);
  });
  const drain = program
    .command('drain')
    .description('ask a node to hand everything over and end: its disk may be deleted then')
    .addHelpText('after', '\nExample:\n  $ ringlog drain --addr http://127.0.0.1:3100');
  addServerOptions(drain).action(async ({ addr, tenant }: ServerFlags) => {
    await askAdmin({ addr, tenant }, 'POST', '/drain');
    terminal.note('draining: the node ends once all it holds is with the others');
  });
};
