/** The kit's plain JavaScript, with types. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';

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

interface Kit {
  readonly differences: (expected: Answer, actual: Answer) => string[];
  readonly normalise: (one: Case, answer: { readonly status: number; readonly body: Buffer }) => Answer;
  readonly readCases: () => Case[];
  readonly readExpected: () => { readonly answers: Readonly<Record<string, Answer>> };
  readonly requestOf: (one: Case) => { readonly path: string; readonly body?: string };
}

const LIBRARY = path.resolve(import.meta.dirname, '../../conformance/lib');

export const loadKit = async (): Promise<Kit> => {
  const files = ['compare.mjs', 'normalise.mjs', 'run-cases.mjs', 'request.mjs'];
  const modules = await Promise.all(files.map((file) => import(pathToFileURL(path.join(LIBRARY, file)).href)));
  return Object.assign({}, ...modules) as Kit;
};
