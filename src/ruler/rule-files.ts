import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { RefusedError } from '../protocol/refusal.ts';
import { tenantProblem } from '../protocol/tenant.ts';
import { readGroups } from './group-yaml.ts';
import type { RuleGroup, StoredGroup } from './rule-group.ts';
import { byPlace, type RuleStore } from './rule-store.ts';
import { fileProblems } from './validate-group.ts';

/** Groups by the name of their file. */
type Files = ReadonlyMap<string, readonly RuleGroup[]>;

/**
 * Files of rules as somebody else wrote them, the same on all nodes: `directory/tenant/file`, each of them a namespace. What is wrong with a file is reported. Its groups are
 * then those that it last had: alerts do not end because of a slip, or of a disk that is away. They are gone when the folder can be listed and the file is not in it.
 */
export class RuleFiles implements RuleStore {
  readonly #directory: string;
  readonly #report: (problem: string, error: unknown, about?: object) => void;
  /** What was last read well, by tenant. */
  readonly #known = new Map<string, Files>();

  constructor(directory: string, report: (problem: string, error: unknown, about?: object) => void) {
    this.#directory = directory;
    this.#report = report;
  }

  async groups(tenant?: string): Promise<readonly StoredGroup[]> {
    const tenants = await this.#tenants();
    for (const known of this.#known.keys()) if (!tenants.includes(known)) this.#known.delete(known);
    const groups: StoredGroup[] = [];
    for (const whose of tenants) {
      if (tenant !== undefined && tenant !== whose) continue;
      const files = await this.#filesOf(whose);
      this.#known.set(whose, files);
      groups.push(...storedIn(whose, files));
    }
    return groups.sort(byPlace);
  }

  put(): Promise<void> {
    return Promise.reject(readOnly());
  }

  delete(): Promise<boolean> {
    return Promise.reject(readOnly());
  }

  async #tenants(): Promise<readonly string[]> {
    try {
      const entries = await entriesOf(this.#directory);
      return entries
        .filter((entry) => !entry.isFile() && tenantProblem(entry.name) === undefined)
        .map(({ name }) => name);
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #filesOf(tenant: string): Promise<Files> {
    const folder = path.join(this.#directory, tenant);
    const known = this.#known.get(tenant);
    let entries: readonly Dirent[];
    try {
      entries = await entriesOf(folder);
    } catch (error) {
      if (!known && isNoFolder(error)) return new Map();
      if (!known) throw unavailable(error);
      this.#report('a folder of rules cannot be read: those that were read before hold', error, { folder });
      return known;
    }
    const files = new Map<string, readonly RuleGroup[]>();
    for (const entry of entries) {
      // Kubernetes has links there, and folders whose names begin with two dots.
      if (entry.isDirectory() || entry.name.startsWith('.')) continue;
      const groups = await this.#read(path.join(folder, entry.name), known?.get(entry.name));
      if (groups) files.set(entry.name, groups);
    }
    return files;
  }

  /** @param known what is used if the file cannot be; undefined: nothing was read well so far */
  async #read(file: string, known: readonly RuleGroup[] | undefined): Promise<readonly RuleGroup[] | undefined> {
    const used = known ? 'its groups that were read before hold' : 'its groups are not evaluated';
    try {
      const text = await readFile(file, 'utf8');
      const groups = readGroups(text);
      const problems = [...fileProblems(groups)];
      // As it is for a moment where somebody writes it anew. No groups are `groups: []`.
      if (text.trim() === '' && known && known.length > 0) problems.push('it is empty');
      if (problems.length === 0) return groups;
      this.#report(`rules in a file are wrong: ${used}`, new Error(problems.join(', ')), { file });
    } catch (error) {
      this.#report(`a file of rules cannot be read: ${used}`, error, { file });
    }
    return known;
  }
}

const storedIn = (tenant: string, files: Files): readonly StoredGroup[] =>
  [...files].flatMap(([namespace, groups]) =>
    groups.map((group) => ({ tenant, namespace, name: group.name, group, version: JSON.stringify(group) })),
  );

const entriesOf = (folder: string): Promise<readonly Dirent[]> => readdir(folder, { withFileTypes: true });

const isNoFolder = (error: unknown): boolean =>
  ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');

const unavailable = (cause: unknown): RefusedError =>
  new RefusedError(
    { code: 'STORAGE_UNAVAILABLE', text: `cannot read the rules: ${(cause as Error).message}` },
    { cause },
  );

const readOnly = (): RefusedError =>
  new RefusedError({
    code: 'INTERNAL',
    text: 'rules are read from files (ruler.storage.type: local): change the files',
  });
