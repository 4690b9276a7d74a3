import { readFileSync } from 'node:fs';
import { type ChannelCredentials, credentials, ServerCredentials } from '@grpc/grpc-js';

/** PEM files. Both sides of a link show a certificate of this CA. */
export interface TlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
  /** The name that peers' certificates hold, where it is not the host of their address. */
  readonly serverName?: string;
}

export const clientCredentials = (tls: TlsFiles | undefined): ChannelCredentials =>
  tls
    ? credentials.createSsl(readFileSync(tls.caFile), readFileSync(tls.keyFile), readFileSync(tls.certFile))
    : credentials.createInsecure();

export const serverCredentials = (tls: TlsFiles | undefined): ServerCredentials =>
  tls
    ? ServerCredentials.createSsl(
        readFileSync(tls.caFile),
        [{ private_key: readFileSync(tls.keyFile), cert_chain: readFileSync(tls.certFile) }],
        true,
      )
    : ServerCredentials.createInsecure();
