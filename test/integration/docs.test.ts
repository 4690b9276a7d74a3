import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** The code blocks of a document that are in this language, one after another. */
const blocksOf = (markdown: string, language: string): string =>
  [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, block]) => block).join('');

describe('the documents', function () {
  this.timeout(60_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-docs-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('show a program of queries as actors that prints what they say', async () => {
    const markdown = await readFile(path.join(ROOT, 'docs/query-actor.md'), 'utf8');
    const library = pathToFileURL(path.join(ROOT, 'src/index.ts')).href;
    const program = path.join(folder, 'program.mjs');
    await writeFile(program, blocksOf(markdown, 'js').replace("from 'ringlog'", `from '${library}'`));
    const { stdout } = await run(process.execPath, ['--import', import.meta.resolve('tsx'), program], { cwd: ROOT });
    expect(stdout).to.equal(blocksOf(markdown, 'text'));
  });
});
