/** Something the user gave cannot be used: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The work failed: one line on stderr. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(text: string, { exitCode = 1, ...options }: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(text, options);
    this.exitCode = exitCode;
  }
}
