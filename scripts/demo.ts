/**
 * The main job on this machine's own logs: one node, pushes over gRPC and HTTP, live tail, answers from memory, flush, a look at a chunk,
 * a restart, a crash, and the same answers from chunks and from the log. Every answer is checked against what was pushed; a wrong one ends the demo with 1.
 *
 *   ./scripts/demo [--keep]
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import snappy from 'snappy';
import { encodePushRequest } from '../src/protocol/logproto.ts';
import { LineSource, type System } from '../test/support/corpus.ts';
import { runClusterDemo } from './demo-cluster.ts';
import { copyLog, copyLogs, type LogCopy } from './demo-logs.ts';
import { DemoNode, killNodes, type RunningCli, runCli, startCli } from './demo-node.ts';

const { values: flags } = parseArgs({ options: { keep: { type: 'boolean', default: false } } });
const HOUR_MS = 3_600_000;
const begin = performance.now();
const workDir = mkdtempSync(path.join(os.tmpdir(), 'ringlog-demo-'));
const dataDir = path.join(workDir, 'data');
let wrong = 0;

const bold = (text: string): string => (process.stdout.isTTY ? `\u001b[1m${text}\u001b[0m` : text);
const say = (text: string): void => console.log(text);
const step = (title: string): void =>
  say(`\n${bold(`── ${title}`)}  (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
const count = (value: number): string => value.toLocaleString('en');

const check = (what: string, actual: number, expected: number): void => {
  if (actual === expected) {
    say(`   ok     ${what}: ${count(actual)}`);
    return;
  }
  wrong += 1;
  say(`   WRONG  ${what}: ${count(actual)} instead of ${count(expected)}`);
};

/** Sum over all series of an instant metric query. */
const total = async (node: DemoNode, query: string): Promise<number> => {
  const { data } = await node.getJson<{ data: { result: { value: [number, string] }[] } }>('/loki/api/v1/query', {
    query,
  });
  return data.result.reduce((sum, series) => sum + Number(series.value[1]), 0);
};

interface Expected {
  readonly what: string;
  readonly query: string;
  readonly value: number;
}

/** Real files: whatever of /var/log this user may read. */
const realLogs = (): readonly LogCopy[] => {
  const copies = path.join(workDir, 'logs');
  mkdirSync(copies);
  const found = copyLogs('/var/log', copies, (file) => say(`   (cannot read ${file})`));
  if (found.length > 0) return found;
  say('   this machine has no readable /var/log/*.log: a generated one stands in');
  const source = new LineSource('jvm', 7);
  const copy = path.join(copies, 'generated.log');
  writeFileSync(copy, `${Array.from({ length: 500 }, (_, n) => source.next(Date.now() - 1000 + n)).join('\n')}\n`);
  return [{ file: copy, copy, lines: 500 }];
};

const pushRealLogs = async (node: DemoNode): Promise<Expected[]> => {
  const expected: Expected[] = [];
  for (const { file, copy, lines } of realLogs()) {
    const labels = `{job="varlogs", file=${JSON.stringify(path.basename(file))}}`;
    const output = await runCli(['push', copy, '--addr', node.grpcAddress, '--labels', labels]);
    say(`   $ ringlog push ${file} --labels '${labels}'\n     ${output.trim().split('\n').pop()}`);
    const query = `sum(count_over_time(${labels}[1h]))`;
    expected.push({ what: `lines of ${path.basename(file)}`, query, value: lines });
  }
  return expected;
};

/** 20,000 generated lines of the last hour in four streams, over HTTP; what the queries must find is counted here, on the text. */
const pushGenerated = async (node: DemoNode): Promise<Expected[]> => {
  const perStream = 5000;
  const startMs = Date.now() - HOUR_MS + 120_000;
  const lines: Record<System, string[]> = { access: [], json: [], logfmt: [], jvm: [] };
  for (const system of Object.keys(lines) as System[]) {
    const source = new LineSource(system, 42);
    const entries = Array.from({ length: perStream }, (_, n) => {
      const timeMs = startMs + Math.floor((n * (HOUR_MS - 240_000)) / perStream);
      const line = source.next(timeMs);
      lines[system].push(line);
      return { timeNs: BigInt(timeMs) * 1_000_000n + BigInt(n % 1000), line };
    });
    for (let from = 0; from < perStream; from += 1000) {
      const streams = [{ labels: `{app="${system}", job="generated"}`, entries: entries.slice(from, from + 1000) }];
      await node.push(snappy.compressSync(encodePushRequest({ streams })) as Buffer);
    }
  }
  const all = Object.values(lines).flat();
  say(
    `   ${count(all.length)} lines in 4 streams (access log, JSON, logfmt, JVM), ${count(all.join('').length)} bytes`,
  );
  const has = (system: System, test: (line: string) => boolean): number => lines[system].filter(test).length;
  return [
    { what: 'all lines', query: 'sum(count_over_time({job="generated"}[1h]))', value: all.length },
    {
      what: 'lines with "slow query"',
      query: 'sum(count_over_time({job="generated"} |= "slow query" [1h]))',
      value: all.filter((line) => line.includes('slow query')).length,
    },
    {
      what: 'requests with status >= 500 in JSON',
      query: 'sum(count_over_time({app="json"} | json | status >= 500 [1h]))',
      value: has('json', (line) => JSON.parse(line).status >= 500),
    },
    {
      what: 'errors in logfmt',
      query: 'sum(count_over_time({app="logfmt"} | logfmt | level="error" [1h]))',
      value: has('logfmt', (line) => line.includes(' level=error ')),
    },
    {
      what: 'access lines by regex',
      query: 'sum(count_over_time({app="access"} |~ "POST /(login|checkout)[ /]" [1h]))',
      value: has('access', (line) => /POST \/(login|checkout)[ /]/.test(line)),
    },
    {
      what: 'bytes of lines',
      query: 'sum(bytes_over_time({job="generated"}[1h]))',
      value: Buffer.byteLength(all.join('')),
    },
  ];
};

const answersAreRight = async (node: DemoNode, expected: readonly Expected[]): Promise<void> => {
  for (const { what, query, value } of expected) check(`${what.padEnd(36)} ${query}`, await total(node, query), value);
};

const showTail = async (node: DemoNode): Promise<void> => {
  const tail = startCli(['tail', '{job="live"}', '--addr', node.url, '--output', 'raw']);
  try {
    await watchTail(node, tail);
  } finally {
    await tail.end();
  }
};

const watchTail = async (node: DemoNode, tail: RunningCli): Promise<void> => {
  await node.tailConnected();
  const words = ['the first line, pushed after the tail began', 'the second', 'the third'];
  for (const line of words) {
    const entries = [{ timeNs: BigInt(Date.now()) * 1_000_000n, line }];
    await node.push(
      snappy.compressSync(encodePushRequest({ streams: [{ labels: '{job="live"}', entries }] })) as Buffer,
    );
  }
  const seen = await tail.waitForLines(words.length, 10_000);
  for (const line of seen) say(`   tail │ ${line}`);
  check('lines seen live', seen.filter((line, index) => line.includes(words[index] as string)).length, words.length);
};

const showQueries = async (node: DemoNode): Promise<void> => {
  const show = async (args: string[]): Promise<void> => {
    say(`\n   $ ringlog ${args.map((part) => (/[ {|"]/.test(part) ? `'${part}'` : part)).join(' ')}`);
    const output = await runCli([...args, '--addr', node.url]);
    for (const line of output.trimEnd().split('\n')) say(`     ${line}`);
  };
  await show([
    'query',
    '{app="json"} | json | status >= 500 | line_format "{{.method}} {{.path}} -> {{.status}}"',
    '--limit',
    '5',
  ]);
  await show(['query', 'sum by (level) (count_over_time({app="logfmt"} | logfmt [5m]))', '--step', '5m']);
};

const showChunks = async (): Promise<void> => {
  const folder = path.join(dataDir, 'chunks');
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => path.join(folder, name))
    .filter((file) => statSync(file).isFile());
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  say(`   ${files.length} chunks, ${count(bytes)} bytes on disk`);
  const largest = files.sort((a, b) => statSync(b).size - statSync(a).size)[0] as string;
  say('   $ ringlog chunk inspect <the largest>');
  for (const line of (await runCli(['chunk', 'inspect', largest])).trimEnd().split('\n').slice(0, 14))
    say(`     ${line}`);
};

const run = async (): Promise<DemoNode> => {
  say(bold('ringlog demo: one node, real logs, from the push to the answer'));
  step('start a node on the embedded default (files and LMDB)');
  let node = await DemoNode.start(dataDir, workDir);
  say(`   $ ringlog serve --data-dir ${dataDir}\n     HTTP ${node.url}, gRPC ${node.grpcAddress}`);

  step('push the logs of this machine over gRPC');
  const expected = await pushRealLogs(node);
  step('push generated access and service logs over HTTP (snappy protobuf)');
  expected.push(...(await pushGenerated(node)));
  step('live tail');
  await showTail(node);

  step('answers from memory: nothing is flushed yet');
  await answersAreRight(node, expected);
  await showQueries(node);

  step('flush: gzip chunks in the store, rows in the index');
  await node.flush();
  await showChunks();
  step('answers from chunks');
  await answersAreRight(node, expected);

  step('restart: SIGTERM, wait, start again on the same folder');
  await node.stop();
  expected.push(keepOwnLog());
  node = await DemoNode.start(dataDir, workDir);
  const ownLog = await runCli([
    'push',
    path.join(workDir, 'node.log.1'),
    '--addr',
    node.grpcAddress,
    '--labels',
    '{job="ringlog"}',
  ]);
  say(`   and the node's own log of before: ${ownLog.trim().split('\n').pop()}`);
  await answersAreRight(node, expected);

  step('kill -9 right after an acknowledgement: the log has it, nothing was flushed since');
  await node.kill();
  node = await DemoNode.start(dataDir, workDir);
  const [head = '', , ...segments] = (await runCli(['wal', 'inspect', path.join(dataDir, 'log')])).trim().split('\n\n');
  say(`   $ ringlog wal inspect\n${indent([head, ...segments].join('\n\n'))}`);
  await answersAreRight(node, expected);

  const { acknowledged, returned, lost, doubled } = await runClusterDemo({
    folder: path.join(workDir, 'cluster'),
    say,
    step,
  });
  check('lines returned', returned, acknowledged);
  check('lines lost', lost, 0);
  check('lines doubled', doubled, 0);
  return node;
};

const indent = (text: string): string =>
  text
    .split('\n')
    .map((line) => `     ${line}`)
    .join('\n');

/** What the node logged until it was stopped, kept aside so that it stays the same. */
const keepOwnLog = (): Expected => {
  const { lines } = copyLog(path.join(workDir, 'node.log'), path.join(workDir, 'node.log.1'));
  return { what: "lines of the node's own log", query: 'sum(count_over_time({job="ringlog"}[1h]))', value: lines };
};

const finish = async (node: DemoNode): Promise<void> => {
  step(wrong === 0 ? 'done: every answer is right' : `done: ${wrong} answers are wrong`);
  if (!flags.keep) {
    await node.stop();
    return;
  }
  say(`   the node keeps running (pid ${node.pid}); try\n`);
  say(`     npx ringlog query '{job="varlogs"}' --addr ${node.url}`);
  say(`     npx ringlog tail '{job=~".+"}' --addr ${node.url}`);
  say(`     kill ${node.pid}; rm -r ${workDir}`);
  node.release();
};

/** However the demo ends: nodes have sessions of their own, so that Ctrl-C does not reach them. */
const tidy = async (): Promise<void> => {
  await killNodes();
  if (flags.keep) say(`   ${workDir} is kept`);
  else rmSync(workDir, { recursive: true, force: true });
};

let exitCode = 1;
for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
  process.once(signal, () => {
    exitCode = code;
    void tidy().finally(() => process.exit(code));
  });
}
try {
  await finish(await run());
  exitCode = wrong === 0 ? 0 : 1;
} catch (error) {
  // What was under way when a signal killed the node fails too.
  if (exitCode === 1) console.error(error);
} finally {
  await tidy();
}
process.exit(exitCode);
