import { RefusedError } from '../protocol/refusal.ts';
import type { GcsClient } from './gcs-client.ts';
import { CallError, type RetriedCalls } from './retried-calls.ts';

const READ_PERMISSIONS = ['storage.objects.get', 'storage.objects.list'];
/** What the store does. `storage.buckets.get` is not among them: the roles for objects do not have it. */
const PERMISSIONS = ['storage.objects.create', ...READ_PERMISSIONS, 'storage.objects.delete'];

/**
 * Looks whether the bucket is there and may be used, without writing to it.
 * @throws RefusedError STORAGE_UNAVAILABLE that says what is missing: credentials, the bucket, permissions, or the network
 */
export const checkAccess = async (
  client: GcsClient,
  calls: RetriedCalls,
  { bucket, isReadOnly = false }: { readonly bucket: string; readonly isReadOnly?: boolean | undefined },
): Promise<void> => {
  const what = `use bucket ${bucket} of Cloud Storage at ${client.endpoint}`;
  await calls.run(what, () => explained(client.credentials(), noCredentials));
  await calls.run(what, () => explained(client.page('', undefined, 1), (error) => refusalOf(error, bucket)));
  const missing = await calls.run(what, () => missingPermissions(client, isReadOnly ? READ_PERMISSIONS : PERMISSIONS));
  if (missing.length === 0) return;
  const text = `cannot ${what}: no permission ${missing.join(', ')} (${isReadOnly ? 'roles/storage.objectViewer' : 'roles/storage.objectUser'} has all that is needed)`;
  throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text });
};

const explained = async <Answer>(
  work: Promise<Answer>,
  explain: (error: CallError) => string | undefined,
): Promise<Answer> => {
  try {
    return await work;
  } catch (error) {
    const text = error instanceof CallError ? explain(error) : undefined;
    throw text === undefined ? error : new CallError(text, false, undefined, { cause: error });
  }
};

const noCredentials = ({ message }: CallError): string =>
  `no credentials: ${message} (set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run with a service account attached)`;

const refusalOf = ({ status, message }: CallError, bucket: string): string | undefined => {
  switch (status) {
    case 404:
      return `there is no bucket ${bucket}`;
    case 401:
    case 403:
      return `no access: ${message}`;
    default:
      return undefined;
  }
};

/** Emulators do not have the call: then the first use tells. */
const missingPermissions = async (client: GcsClient, permissions: readonly string[]): Promise<readonly string[]> => {
  try {
    return await client.missingPermissions(permissions);
  } catch (error) {
    const status = error instanceof CallError ? error.status : undefined;
    if (status === 400 || status === 404 || status === 405 || status === 501) return [];
    throw error;
  }
};
