import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';

const CLI = path.join(import.meta.dirname, '../../../src/cli.ts');

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The command line as a process of its own, from the sources. */
export class CliProcess {
  readonly child: ChildProcessWithoutNullStreams;
  stdout = '';
  stderr = '';
  readonly #ended: Promise<unknown[]>;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('RINGLOG_'));
    this.child = spawn(process.execPath, ['--import', 'tsx', CLI, ...args], {
      env: { ...Object.fromEntries(clean), ...env },
    });
    this.child.stdout.on('data', (chunk) => {
      this.stdout += chunk;
    });
    this.child.stderr.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.child.stdin.on('error', () => undefined);
    this.#ended = once(this.child, 'close');
  }

  /** Resolves once either output holds a match. */
  async shows(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.stdout) ?? pattern.exec(this.stderr);
      if (match) return match;
      if (this.child.exitCode !== null)
        throw new Error(`ended with ${this.child.exitCode}: ${this.stdout}${this.stderr}`);
      await Promise.race([once(this.child.stdout, 'data'), once(this.child.stderr, 'data'), this.#ended]);
    }
  }

  async finished(): Promise<Finished> {
    const [code] = await this.#ended;
    return { code: code as number | null, stdout: this.stdout, stderr: this.stderr };
  }
}

export const runCli = (args: readonly string[], input?: string): Promise<Finished> => {
  const cli = new CliProcess(args);
  cli.child.stdin.end(input);
  return cli.finished();
};
