import type { Dirent } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { RefusedError } from '../protocol/refusal.ts';
import { tenantProblem } from '../protocol/tenant.ts';
import { readGroups } from './group-yaml.ts';
import type { RuleGroup, StoredGroup } from './rule-group.ts';
import { byPlace, type RuleStore } from './rule-store.ts';
import { fileProblems } from './validate-group.ts';

/**
 * Files of rules as somebody else wrote them, the same on all nodes: `directory/tenant/file`, each of them a namespace. What is wrong with a file is reported, and the file
 * left out.
 */
export class RuleFiles implements RuleStore {
  readonly #directory: string;
  readonly #report: (problem: string, error: unknown, about?: object) => void;

  constructor(directory: string, report: (problem: string, error: unknown, about?: object) => void) {
    this.#directory = directory;
    this.#report = report;
  }

  async groups(tenant?: string): Promise<readonly StoredGroup[]> {
    const tenants = tenant === undefined ? await this.#tenants() : [tenant];
    const groups: StoredGroup[] = [];
    for (const whose of tenants) groups.push(...(await this.#groupsOf(whose)));
    return groups.sort(byPlace);
  }

  put(): Promise<void> {
    return Promise.reject(readOnly());
  }

  delete(): Promise<boolean> {
    return Promise.reject(readOnly());
  }

  async #tenants(): Promise<readonly string[]> {
    const entries = await this.#entries(this.#directory);
    return entries
      .filter((entry) => !entry.isFile() && tenantProblem(entry.name) === undefined)
      .map(({ name }) => name);
  }

  async #groupsOf(tenant: string): Promise<readonly StoredGroup[]> {
    const folder = path.join(this.#directory, tenant);
    const groups: StoredGroup[] = [];
    for (const entry of await this.#entries(folder)) {
      // Kubernetes has links there, and folders whose names begin with two dots.
      if (entry.isDirectory() || entry.name.startsWith('.')) continue;
      const namespace = entry.name;
      for (const group of await this.#read(path.join(folder, namespace))) {
        groups.push({ tenant, namespace, name: group.name, group, version: JSON.stringify(group) });
      }
    }
    return groups;
  }

  async #read(file: string): Promise<readonly RuleGroup[]> {
    try {
      const groups = readGroups(await readFile(file, 'utf8'));
      const problems = fileProblems(groups);
      if (problems.length === 0) return groups;
      this.#report('rules in a file are not evaluated', new Error(problems.join(', ')), { file });
    } catch (error) {
      this.#report('a file of rules cannot be read', error, { file });
    }
    return [];
  }

  async #entries(folder: string): Promise<readonly Dirent[]> {
    try {
      return await readdir(folder, { withFileTypes: true });
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
      throw new RefusedError(
        { code: 'STORAGE_UNAVAILABLE', text: `cannot read the rules: ${(error as Error).message}` },
        { cause: error },
      );
    }
  }
}

const readOnly = (): RefusedError =>
  new RefusedError({
    code: 'INTERNAL',
    text: 'rules are read from files (ruler.storage.type: local): change the files',
  });
