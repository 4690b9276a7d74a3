/** Kubernetes' own rules for manifests: types and unknown fields by its models, which are made from its API's description. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { StatefulSet } from 'kubernetes-models/apps/v1';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1';
import { ConfigMap, Namespace, Service, ServiceAccount } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';

const ROOT = path.join(import.meta.dirname, '../..');
const TYPESCRIPT = path.join(ROOT, 'node_modules/typescript/bin/tsc');
const run = promisify(execFile);

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** By `apiVersion/kind`: the model, and where its type comes from. */
const MODELS: Readonly<Record<string, readonly [new (data: never) => { validate(): void }, string]>> = {
  'v1/ConfigMap': [ConfigMap, 'kubernetes-models/v1'],
  'v1/Namespace': [Namespace, 'kubernetes-models/v1'],
  'v1/Service': [Service, 'kubernetes-models/v1'],
  'v1/ServiceAccount': [ServiceAccount, 'kubernetes-models/v1'],
  'apps/v1/StatefulSet': [StatefulSet, 'kubernetes-models/apps/v1'],
  'policy/v1/PodDisruptionBudget': [PodDisruptionBudget, 'kubernetes-models/policy/v1'],
  'networking.k8s.io/v1/NetworkPolicy': [NetworkPolicy, 'kubernetes-models/networking.k8s.io/v1'],
};

/** Of a custom resource there is no model here. */
const CUSTOM = 'monitoring.coreos.com/v1/ServiceMonitor';

/** @throws if it is no YAML */
export const parseManifests = (yaml: string): readonly Manifest[] =>
  parseAllDocuments(yaml).flatMap((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    const content = document.toJS() as Manifest | null;
    return content === null ? [] : [content];
  });

export const manifestsIn = async (folder: string): Promise<readonly Manifest[]> => {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.yaml')).sort();
  const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
  return texts.flatMap(parseManifests);
};

/** What is wrong with the manifests, each with the kind and name: values by the models' schemas, fields by their types. */
export const manifestProblems = async (manifests: readonly Manifest[]): Promise<readonly string[]> => {
  const problems: string[] = [];
  const known = manifests.filter(({ apiVersion, kind }) => `${apiVersion}/${kind}` !== CUSTOM);
  for (const manifest of known) {
    const model = MODELS[`${manifest.apiVersion}/${manifest.kind}`];
    try {
      if (!model) throw new Error('no such kind');
      new model[0](manifest as never).validate();
    } catch (error) {
      problems.push(`${manifest.kind} ${manifest.metadata.name}: ${(error as Error).message}`);
    }
  }
  return [...problems, ...(await unknownFields(known))];
};

/** Literals of the models' types: a field that the type does not have is an error. */
const unknownFields = async (manifests: readonly Manifest[]): Promise<readonly string[]> => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'ringlog-manifests-'));
  try {
    await symlink(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    const literals = manifests.map((manifest, index) => {
      const [, source] = MODELS[`${manifest.apiVersion}/${manifest.kind}`] ?? [];
      const type = `import('${source}').I${manifest.kind}`;
      return `export const literal${index}: ${type} = ${JSON.stringify(manifest, null, 1)};`;
    });
    await writeFile(path.join(folder, 'literals.ts'), literals.join('\n'));
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', ''];
    await run(process.execPath, [TYPESCRIPT, ...options, 'literals.ts'], { cwd: folder });
    return [];
  } catch (error) {
    const { stdout } = error as { stdout?: string };
    if (!stdout) throw error;
    return stdout.split('\n').filter((line) => line.includes('error TS'));
  } finally {
    await rm(folder, { recursive: true });
  }
};
