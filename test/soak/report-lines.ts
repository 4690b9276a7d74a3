import type { SoakReport } from './run-soak.ts';

/** A report for people. */
export const reportLines = (report: SoakReport): readonly string[] => {
  const { node, findings, missing } = report;
  const flushes = Object.entries(node.flushed).filter(([, count]) => count > 0);
  const flushCount = flushes.reduce((sum, [, count]) => sum + count, 0);
  return [
    `seed ${report.seed}, ${report.seconds} s`,
    `${report.kills} kills, ${report.stops} stops, ${report.starts} starts, ${report.outages} outages; ` +
      `slowest start to ready ${report.slowestReadyMs} ms, slowest stop ${report.slowestStopMs} ms`,
    `${flushCount} flushes seen (${flushes.map(([reason, count]) => `${count} ${reason}`).join(', ')}), ` +
      `${node.flushFailures} attempts failed, ${report.chunkObjects} chunk objects, ` +
      `${node.removedFiles} log files removed, ${node.compactedFiles} compacted`,
    `${report.sent} entries sent, ${report.acknowledged} acknowledged, ${report.final.returned} returned in the end; ` +
      `${report.answers} answers checked, ${report.settledCounts} counts of settled ranges`,
    `${findings.entries('lost')} lost, ${findings.entries('doubled')} doubled, ${findings.entries('invented')} invented, ` +
      `${findings.entries('miscounted')} miscounted, ${findings.entries('misordered')} misordered, ` +
      `${findings.entries('refused')} refused, ${findings.entries('broken')} broken`,
    ...missing.map((what) => `did not happen: ${what}`),
    findings.count === 0 && missing.length === 0 ? 'all is well' : `NOT WELL: replay with --seed ${report.seed}`,
  ];
};
