/** The kit's plain JavaScript (test/conformance), with types, and how a server is set up for it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse as parseYaml } from 'yaml';
import type { ConfigInput } from '../../src/config.ts';

export interface Case {
  readonly id: string;
  readonly category: string;
  readonly kind: string;
  readonly query: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tenant?: string;
  readonly state?: string;
}

/** A normalised answer. */
export interface Answer {
  readonly status: number;
  readonly t: string;
  readonly text?: string;
  readonly memory?: Answer;
}

interface PushAnswer {
  readonly status: number;
  readonly text: string;
  /** The text is that of Loki's own decoder. */
  readonly ownWords?: boolean;
}

/** What the requests of a case were answered, and what queries gave afterwards. */
interface PushResult {
  readonly answers: readonly PushAnswer[];
  readonly stored: readonly Answer[];
}

export interface PushCase {
  readonly id: string;
  readonly category: string;
  readonly about: string;
  readonly expect: PushResult;
}

interface Kit {
  readonly differences: (expected: Answer, actual: Answer) => string[];
  readonly normalise: (one: Case, answer: { readonly status: number; readonly body: Buffer }) => Answer;
  readonly readCases: () => Case[];
  readonly readExpected: () => { readonly answers: Readonly<Record<string, Answer>> };
  readonly requestOf: (one: Case) => { readonly path: string; readonly body?: string };
  /** Asks a server all cases, four at a time unless it is said; answers in the order of the cases. */
  readonly askAll: (
    url: string,
    cases: readonly Case[],
    tenant: string,
    options?: { readonly concurrency?: number },
  ) => Promise<readonly Answer[]>;
  /** Pushes the files of a folder. */
  readonly load: (url: string, folder: string, tenant: string) => Promise<{ readonly entries: number }>;
  readonly runPushCase: (url: string, one: PushCase, tenant: string) => Promise<PushResult>;
}

const ROOT = path.resolve(import.meta.dirname, '../conformance');
const FILES = ['compare.mjs', 'load.mjs', 'normalise.mjs', 'request.mjs', 'run-cases.mjs', 'run-push-case.mjs'];

export const KIT_DATA = path.join(ROOT, 'data');

export const loadKit = async (): Promise<Kit> => {
  const modules = await Promise.all(FILES.map((file) => import(pathToFileURL(path.join(ROOT, 'lib', file)).href)));
  return Object.assign({}, ...modules) as Kit;
};

const readText = (name: string): string => readFileSync(path.join(ROOT, name), 'utf8');

export const readPushCases = (): readonly PushCase[] => JSON.parse(readText('push-cases.json'));

/** The recorded server's settings, in ringlog's words: limits and overrides are Loki's as they are. */
export const kitSettings = (): ConfigInput => {
  const recorded = parseYaml(readText('reference/loki-3.7.yaml').replaceAll(/\$\{\w+\}/g, 'x'));
  const { per_tenant_override_config: _, ...limits } = recorded.limits_config;
  const { overrides } = parseYaml(readText('reference/overrides-3.7.yaml'));
  const { max_chunk_age, chunk_idle_period, flush_check_period } = recorded.ingester;
  return {
    auth_enabled: recorded.auth_enabled,
    ingester: { cut_workers: 1, max_chunk_age, chunk_idle_period, flush_check_period },
    limits,
    overrides,
  };
};
