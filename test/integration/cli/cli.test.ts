import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import { runCli } from './cli-process.ts';

const FIXTURES = path.join(import.meta.dirname, '../../fixtures/loki-2.8/chunks');

describe('ringlog', function () {
  this.timeout(120_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ringlog-cli-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  describe('usage', () => {
    it('explains itself', async () => {
      const { code, stdout } = await runCli(['--help']);
      expect(code).to.equal(0);
      for (const word of [
        'serve',
        'push',
        'query',
        'tail',
        'labels',
        'series',
        'chunk',
        'wal',
        'config',
        'Exit codes',
      ]) {
        expect(stdout).to.include(word);
      }
    });

    const wrong: readonly (readonly [readonly string[], RegExp])[] = [
      [['nothing'], /^ringlog: unknown command 'nothing'\n$/],
      [['query'], /^ringlog: missing required argument 'query'\n$/],
      [
        ['query', '--limit', 'x', '{a="b"}'],
        /^ringlog: option '--limit <count>' argument 'x' is invalid\. want a whole number\.\n$/,
      ],
      [
        ['query', '--since', '90', '{a="b"}'],
        /^ringlog: --since: not a valid duration string: "90"; want for example 15m, 2h, 1d\n$/,
      ],
      [['query', '--from', 'yesterday', '{a="b"}'], /^ringlog: --from: "yesterday" is no time; want /],
      [['push', '--labels', 'a-b', 'x'], /^ringlog: --labels: "a-b" is neither \{name="value"\} nor name=value\n$/],
      [['push', '--labels', 'a=b', '/no/such/file'], /^ringlog: cannot read \/no\/such\/file: ENOENT/],
      [['config', '--http-listen', 'nowhere'], /^ringlog: http_listen: got "nowhere", want an address/],
      [['config', '--config', '/no/such/file'], /^ringlog: --config: ENOENT/],
    ];
    for (const [args, text] of wrong) {
      it(`ends with 2 and one line: ${args.join(' ')}`, async () => {
        const { code, stdout, stderr } = await runCli(args);
        expect([code, stdout]).to.deep.equal([2, '']);
        expect(stderr).to.match(text);
      });
    }

    it('shows where a file is no YAML in lines that belong together', async () => {
      const file = path.join(folder, 'broken.yaml');
      await writeFile(file, 'a: [1\nb: 2\n');
      const { code, stderr } = await runCli(['config', '--config', file]);
      expect(code).to.equal(2);
      expect(stderr).to.match(
        /^ringlog: \S+broken\.yaml: Flow sequence .* at line 2, column 1:\n {2}a: \[1\n {2}b: 2\n {2}\^\n$/,
      );
    });

    it('ends with 1 and one line when nobody answers', async () => {
      const { code, stderr } = await runCli(['query', '--addr', '127.0.0.1:1', '{a="b"}']);
      expect([code, stderr]).to.deep.equal([
        1,
        'ringlog: cannot reach http://127.0.0.1:1: connect ECONNREFUSED 127.0.0.1:1\n',
      ]);
    });
  });

  describe('config', () => {
    it('prints what may be given back to it', async () => {
      const file = path.join(folder, 'ringlog.yaml');
      await writeFile(file, 'ingester:\n  max_chunk_age: 90m\nlimits:\n  max_line_size: 64KB\n');
      const first = await runCli(['config', '--config', file, '--data-dir', '/data']);
      expect(first.stderr).to.equal('');
      expect(first.stdout).to.match(/^data_dir: \/data$/m);
      expect(first.stdout).to.match(/^ {2}max_chunk_age: 1h30m$/m);
      await writeFile(file, first.stdout);
      expect((await runCli(['config', '--config', file])).stdout).to.equal(first.stdout);
    });

    it('checks', async () => {
      expect(await runCli(['config', '--check'])).to.deep.equal({ code: 0, stdout: 'valid\n', stderr: '' });
      const file = path.join(folder, 'bad.yaml');
      await writeFile(file, 'limits:\n  max_lines: 5\nservr: 1\n');
      const { code, stderr } = await runCli(['config', '--check', '--config', file]);
      expect(code).to.equal(2);
      expect(stderr).to.include('limits.max_lines').and.to.include('servr');
    });
  });

  describe('chunk inspect', () => {
    it('shows header, blocks and entries', async () => {
      const file = path.join(FIXTURES, 'three-blocks.chunk');
      const { code, stdout } = await runCli(['chunk', 'inspect', '--entries', file]);
      expect(code).to.equal(0);
      expect(stdout).to.include('{__name__="logs", app="big", env="prod"}').and.to.include('6000 in 3 blocks');
      expect(stdout.trimEnd().split('\n').length).to.be.greaterThan(6000);
    });

    it('ends with 1 and names the block when a byte is wrong', async () => {
      const bytes = await readFile(path.join(FIXTURES, 'three-blocks.chunk'));
      bytes[bytes.length - 30_000] = (bytes[bytes.length - 30_000] ?? 0) ^ 1;
      const file = path.join(folder, 'damaged');
      await writeFile(file, bytes);
      const { code, stdout, stderr } = await runCli(['chunk', 'inspect', file]);
      expect([code, stderr]).to.deep.equal([1, `ringlog: damaged: ${file}\n`]);
      expect(stdout).to.match(/block \d has a wrong checksum/);
      await writeFile(file, 'no chunk at all');
      expect((await runCli(['chunk', 'inspect', file])).code).to.equal(1);
    });
  });
});
