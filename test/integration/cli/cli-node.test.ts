import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { nowNs, TestServer } from '../http/test-server.ts';
import { CliProcess, runCli } from './cli-process.ts';

describe('ringlog and a node', function () {
  this.timeout(120_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ringlog-cli-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  describe('as its client', () => {
    let server: TestServer;
    const file = (): string => path.join(folder, 'app.log');
    const lines = Array.from({ length: 2500 }, (_, index) => `level=${index % 2 ? 'warn' : 'info'} n=${index}`);

    before(async () => {
      server = await TestServer.start();
      await writeFile(file(), `${lines.join('\n')}\n`);
    });
    after(() => server.stop());

    const ask = (...args: readonly string[]) => runCli([args[0] ?? '', '--addr', server.http, ...args.slice(1)]);

    it('pushes a file and says how much', async () => {
      const { code, stdout, stderr } = await runCli([
        ...['push', '--addr', server.grpc, '--labels', 'app=cli', '--labels', '{env="test"}', file()],
      ]);
      expect([code, stderr]).to.deep.equal([0, '']);
      expect(stdout).to.match(/^accepted 2500 lines \(0\.0 MB\) in [\d.]+ s \([\d.]+ MB\/s\), refused 0\n$/);
    });

    it('pushes standard input, and gives totals as JSON', async () => {
      const args = ['push', '--addr', server.grpc, '--labels', 'app=piped', '--json'];
      const { stdout } = await runCli(args, 'a\n\nb');
      expect(JSON.parse(stdout)).to.deep.equal({ acceptedLines: 3, acceptedBytes: 2, refusedLines: 0 });
      expect((await ask('query', '--forward', '--output', 'raw', '{app="piped"}')).stdout).to.equal('a\n\nb\n');
    });

    it('ends with 1 when something was refused, and says why', async () => {
      const args = ['push', '--addr', server.grpc, '--labels', '{bad-name="x"}'];
      const { code, stderr } = await runCli(args, 'x\n');
      expect(code).to.equal(1);
      expect(stderr).to.include('refused (400): ').and.to.include('parse error');
    });

    it('prints log lines like logcli: common labels apart, newest first', async () => {
      const { stdout, stderr } = await ask('query', '--limit', '2', '{app="cli"} | logfmt');
      expect(stderr).to.equal('Common labels: {app="cli", env="test"}\n');
      const [first, second] = stdout.split('\n');
      expect(first).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \{level="warn", n="2499"\} level=warn n=2499$/);
      expect(second).to.match(/ \{level="info", n="2498"\} level=info n=2498$/);
    });

    it('pages through everything, each entry once, in both directions', async () => {
      const forward = await ask(
        'query',
        '--limit',
        '0',
        '--batch',
        '700',
        '--forward',
        '--output',
        'raw',
        '{app="cli"}',
      );
      expect(forward.stdout).to.equal(`${lines.join('\n')}\n`);
      const backward = await ask('query', '--limit', '2001', '--batch', '700', '--output', 'raw', '{app="cli"}');
      expect(backward.stdout).to.equal(`${[...lines].reverse().slice(0, 2001).join('\n')}\n`);
    });

    it('prints JSON, a line or a document', async () => {
      const jsonl = await ask('query', '--limit', '1', '--output', 'jsonl', '{app="cli"}');
      expect(JSON.parse(jsonl.stdout)).to.deep.include({
        line: 'level=warn n=2499',
        labels: { app: 'cli', env: 'test' },
      });
      const json = await ask('query', '--limit', '1', '--json', '{app="cli"}');
      expect(JSON.parse(json.stdout)).to.include({ resultType: 'streams' });
    });

    it('pages for a JSON document as it does for lines', async () => {
      const { stdout } = await ask('query', '--limit', '0', '--batch', '700', '--json', '{app="cli"}');
      const { resultType, result } = JSON.parse(stdout) as {
        readonly resultType: string;
        readonly result: readonly {
          readonly stream: object;
          readonly values: readonly (readonly [string, string])[];
        }[];
      };
      expect(resultType).to.equal('streams');
      expect(result.map(({ stream }) => stream)).to.deep.equal([{ app: 'cli', env: 'test' }]);
      expect(result[0]?.values.map(([, line]) => line)).to.deep.equal([...lines].reverse());
    });

    it('plots a metric query and prints its table', async () => {
      const { stdout } = await ask(
        'query',
        '--since',
        '5m',
        '--step',
        '1s',
        'sum by (app) (count_over_time({app="cli"}[1m]))',
      );
      expect(stdout).to.match(/[┤┼]/);
      expect(stdout.trimEnd().split('\n').at(-1)).to.match(/^\{app="cli"\} .* 2500$/);
    });

    it('prints an instant answer', async () => {
      const { stdout } = await ask('query', '--instant', 'sum(count_over_time({app="cli"}[1h]))');
      expect(stdout.trimEnd().split('\n').at(-1)).to.match(/^\{\} +2500$/);
    });

    it('gives the server’s words for a bad query, and ends with 1', async () => {
      const { code, stderr } = await ask('query', '{app="cli"');
      expect(code).to.equal(1);
      expect(stderr).to.match(/^ringlog: 400 from .*: parse error at line 1, col 11: syntax error: unexpected \$end/);
    });

    it('lists labels, values and series', async () => {
      expect((await ask('labels')).stdout.split('\n')).to.include.members(['app', 'env']);
      expect((await ask('labels', 'env', '--json')).stdout).to.equal('["test"]\n');
      expect((await ask('series', '{env="test"}')).stdout).to.equal('{app="cli", env="test"}\n');
    });

    it('tails until it is interrupted', async () => {
      const tail = new CliProcess(['tail', '--addr', server.http, '--output', 'raw', '--since', '1m', '{app="live"}']);
      await server.pushProto('{app="live"}', [{ timeNs: nowNs(), line: 'first' }]);
      await tail.shows(/first/);
      await server.pushProto('{app="live"}', [{ timeNs: nowNs(), line: 'second' }]);
      await tail.shows(/second/);
      tail.child.kill('SIGINT');
      expect(await tail.finished()).to.deep.equal({ code: 0, stdout: 'first\nsecond\n', stderr: '' });
    });

    it('ends quietly when its reader goes away', async () => {
      const cli = new CliProcess(['query', '--addr', server.http, '--limit', '0', '{app="cli"}']);
      cli.child.stdout.destroy();
      expect((await cli.finished()).code).to.equal(0);
    });
  });

  describe('serve', () => {
    const nodes: CliProcess[] = [];
    afterEach(() => {
      for (const node of nodes.splice(0)) node.child.kill('SIGKILL');
    });
    const start = async (dataDir: string) => {
      const args = ['serve', '--http-listen', '127.0.0.1:0', '--grpc-listen', '127.0.0.1:0', '--data-dir', dataDir];
      const node = new CliProcess(args);
      nodes.push(node);
      const started = await node.shows(/"http":"([^"]+)","grpc":"([^"]+)".*ringlog is serving/);
      return { node, http: started[1] ?? '', grpc: started[2] ?? '' };
    };

    it('ends with 0 on SIGTERM and has kept what it acknowledged', async () => {
      const dataDir = path.join(folder, 'data');
      const first = await start(dataDir);
      await runCli(['push', '--addr', first.grpc, '--labels', 'app=served'], 'kept\n');
      first.node.child.kill('SIGTERM');
      const { code, stderr } = await first.node.finished();
      expect([code, stderr.includes('"msg":"stopped"')]).to.deep.equal([0, true]);
      expect(await readdir(dataDir)).not.to.deep.equal([]);
      const second = await start(dataDir);
      const answer = await runCli(['query', '--addr', second.http, '--output', 'raw', '{app="served"}']);
      expect(answer.stdout).to.equal('kept\n');
      second.node.child.kill('SIGINT');
      expect((await second.node.finished()).code).to.equal(0);
    });

    it('ends with 1 and one line when its address is taken', async () => {
      const dataDir = path.join(folder, 'taken');
      const first = await start(dataDir);
      const args = [
        'serve',
        '--http-listen',
        first.http,
        '--grpc-listen',
        'off',
        '--data-dir',
        path.join(folder, 'other'),
      ];
      const { code, stderr } = await runCli(args);
      expect(code).to.equal(1);
      expect(stderr.trimEnd().split('\n').at(-1)).to.match(/^ringlog: .*EADDRINUSE/);
      first.node.child.kill('SIGTERM');
      await first.node.finished();
    });
  });
});
