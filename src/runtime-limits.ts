import { readFile } from 'node:fs/promises';
import { parse as parseYaml } from 'yaml';
import { ConfigError } from './config.ts';
import type { Clock } from './protocol/clock.ts';
import { LimitsError, type TenantLimits } from './protocol/limits.ts';

export interface RuntimeLimitsDeps {
  /** YAML with `overrides:` by tenant, as Loki's `runtime_config.file`. */
  readonly file: string;
  readonly periodMs: number;
  readonly limits: TenantLimits;
  readonly clock: Clock;
  readonly log: { info(fields: object, text: string): void; error(fields: object, text: string): void };
}

/** Limits of tenants in a file of their own that is read again while the node runs. What is wrong with it is told, and what was read before holds. */
export class RuntimeLimits {
  readonly #deps: RuntimeLimitsDeps;
  #text: string | undefined;
  #cancelTimer = (): void => undefined;
  #isStopped = false;

  private constructor(deps: RuntimeLimitsDeps) {
    this.#deps = deps;
  }

  /** @throws ConfigError if the file cannot be read or something in it is wrong: a node does not start with limits that nobody asked for */
  static async start(deps: RuntimeLimitsDeps): Promise<RuntimeLimits> {
    const runtime = new RuntimeLimits(deps);
    await runtime.#read();
    runtime.#wait();
    return runtime;
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer();
  }

  #wait(): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#deps.clock.after(this.#deps.periodMs, () => void this.#readAgain());
  }

  async #readAgain(): Promise<void> {
    const { log, file } = this.#deps;
    try {
      if (await this.#read()) log.info({ file }, 'the limits of tenants have changed');
    } catch (error) {
      log.error({ err: error, file }, 'the limits of tenants cannot be read: those that were read before hold');
    }
    this.#wait();
  }

  /** @returns whether it is another text than the last time. @throws ConfigError, and nothing has changed */
  async #read(): Promise<boolean> {
    const { file, limits } = this.#deps;
    try {
      const text = await readFile(file, 'utf8');
      if (text === this.#text) return false;
      limits.override(overridesOf(parseYaml(text)));
      this.#text = text;
      return true;
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      const problems = error instanceof LimitsError ? error.problems : [(error as Error).message];
      const told = problems.map((problem) => `runtime_config.file ${file}: ${problem}`);
      throw new ConfigError(told, { cause: error });
    }
  }
}

const overridesOf = (content: unknown): unknown => {
  if (content === null || content === undefined) return undefined;
  if (typeof content !== 'object' || Array.isArray(content)) throw new Error('want overrides, by tenant');
  const { overrides, ...others } = content as Record<string, unknown>;
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new Error(`${unknown}: no such setting`);
  return overrides;
};
