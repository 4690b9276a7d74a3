import { runSchedule } from '../support/simulation/run-schedule.ts';

const [from = '1', count = '1'] = process.argv.slice(2);
const t0 = performance.now();
const totals: Record<string, number> = {};
let bad = 0;
for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  const o = await runSchedule(seed);
  for (const [k, v] of Object.entries(o.figures)) totals[k] = (totals[k] ?? 0) + v;
  if (o.violations.length > 0) {
    bad++;
    console.log(`seed ${seed} ${o.profile}`);
    for (const v of o.violations.slice(0, 3)) console.log('   ', v.slice(0, 400));
  }
  if (process.env['VERBOSE']) {
    for (const h of o.history) console.log(h);
    console.log(o.trace, o.figures);
  }
}
console.log({ bad, msPer: (performance.now() - t0) / Number(count), totals, rss: process.memoryUsage().rss >> 20 });
process.exit(0);
