/** Something the user gave cannot be used: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The work failed: exit code 1, one line on stderr. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}
