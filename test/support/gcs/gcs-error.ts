/** How the JSON API refuses; the documented shape of its error bodies. */
export class GcsError extends Error {
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, reason: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.headers = headers;
  }

  json(): string {
    const { status: code, message, reason } = this;
    return JSON.stringify({ error: { code, message, errors: [{ message, domain: 'global', reason }] } });
  }
}

export const invalid = (message: string): GcsError => new GcsError(400, 'invalid', message);

export const noSuchObject = (bucket: string, name: string): GcsError =>
  new GcsError(404, 'notFound', `No such object: ${bucket}/${name}`);

export const preconditionFailed = (): GcsError =>
  new GcsError(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.');

const FAULT_REASONS: Readonly<Record<number, readonly [reason: string, message: string]>> = {
  401: ['required', 'Anonymous caller does not have storage.objects.list access to the Google Cloud Storage bucket.'],
  403: [
    'forbidden',
    'robot@example.com does not have storage.objects.create access to the Google Cloud Storage object.',
  ],
  408: ['uploadBrokenConnection', 'The request timed out.'],
  429: ['rateLimitExceeded', 'The object exceeded the rate limit for object mutation operations.'],
  500: ['internalError', 'We encountered an internal error. Please try again.'],
  503: ['backendError', 'Backend Error'],
};

/** What the API says with a status that a test asked for. */
export const faultError = (status: number, saidReason?: string): GcsError => {
  const [reason, message] = FAULT_REASONS[status] ?? ['fault', `status ${status}`];
  return new GcsError(status, saidReason ?? reason, message);
};
