import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { status } from '@grpc/grpc-js';
import { expect } from 'chai';
import { parse as parseYaml } from 'yaml';
import { type Config, loadConfig } from '../../src/config.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const run = promisify(execFile);

/** The code blocks of a document that are in this language, one after another. */
const blocksOf = (markdown: string, language: string): string =>
  [...markdown.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms'))].map(([, block]) => block).join('');

/** All sources as one text. */
const sources = async (): Promise<string> => {
  const names = await readdir(path.join(ROOT, 'src'), { recursive: true });
  const texts = names
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFile(path.join(ROOT, 'src', name), 'utf8'));
  return (await Promise.all(texts)).join('\n');
};

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

  it('name the errors of a start as the code says them', async () => {
    const markdown = await readFile(path.join(ROOT, 'docs/gcp.md'), 'utf8');
    const rows = markdown.slice(markdown.indexOf('| it says | then |')).match(/(?<=^\| `)[^`]+(?=` \|)/gm) ?? [];
    expect(rows.length).to.be.at.least(18);
    const code = await sources();
    for (const row of rows) {
      for (const [, name = ''] of row.matchAll(/Bigtable: ([A-Z_]+)/g)) expect(status).to.have.property(name);
      const parts = row.replace(/: Bigtable: ?[A-Z_]*/, '…').split('…');
      for (const part of parts.map((text) => text.replace(/^[:;)\s]+|[:;(\s]+$/g, ''))) {
        // Some put `cannot` before what could not be done.
        const isSaid = code.includes(part) || code.includes(part.replace(/^cannot /, ''));
        expect(isSaid, `${row}: ${part}`).to.equal(true);
      }
    }
  });

  it('show a configuration of Google Cloud with all of its settings', async () => {
    const markdown = await readFile(path.join(ROOT, 'docs/gcp.md'), 'utf8');
    const text = blocksOf(markdown, 'yaml');
    const shown = loadConfig({ file: { name: 'gcp.md', text } });
    const names = (settings: object): readonly string[] => Object.keys(settings).sort();
    const { storage_config, table_manager } = parseYaml(text) as Config;
    expect(names(storage_config.gcs)).to.deep.equal(names(shown.storage_config.gcs));
    expect(names(storage_config.bigtable)).to.deep.equal(names(shown.storage_config.bigtable));
    expect(names(table_manager)).to.deep.equal(names(shown.table_manager));
    const defaults = loadConfig({});
    expect(shown.table_manager).to.deep.equal(defaults.table_manager);
    expect({ ...shown.storage_config.gcs, bucket_name: '' }).to.deep.equal(defaults.storage_config.gcs);
  });

  it('show a configuration of rules with all of its settings', async () => {
    const markdown = await readFile(path.join(ROOT, 'docs/ruler.md'), 'utf8');
    const text = blocksOf(markdown, 'yaml');
    const shown = loadConfig({ file: { name: 'ruler.md', text } }).ruler;
    const pathsOf = (value: unknown, at = ''): readonly string[] =>
      typeof value === 'object' && value !== null && Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, `${at}.${name}`))
        : [at];
    expect(
      pathsOf(parseYaml(text).ruler)
        .map((one) => one.replace('.cluster', ''))
        .sort(),
    ).to.deep.equal(
      pathsOf(shown)
        .map((one) => one.replace('.cluster', ''))
        .sort(),
    );
    const { remote_write, external_url, datasource_uid, external_labels, alertmanager_url, ...usual } = shown;
    const defaults = loadConfig({}).ruler;
    expect({ ...defaults, ...usual }).to.deep.equal(defaults);
    expect({ ...remote_write, enabled: false, client: undefined }).to.deep.equal({
      ...defaults.remote_write,
      client: undefined,
    });
    expect([external_url, datasource_uid, external_labels, alertmanager_url]).to.not.include('');
  });
});
