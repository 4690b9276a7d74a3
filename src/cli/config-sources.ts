import { readFileSync } from 'node:fs';
import { type Command, Option } from 'commander';
import type { ConfigInput, ConfigSources } from '../config.ts';
import { UsageError } from './cli-error.ts';

export interface ConfigFlags {
  readonly config?: string;
  readonly httpListen?: string;
  readonly grpcListen?: string;
  readonly dataDir?: string;
  readonly logLevel?: string;
}

/** Read by the client commands; everything else that begins with RINGLOG_ must be a setting. */
const CLIENT_VARIABLES = new Set(['RINGLOG_ADDR', 'RINGLOG_GRPC_ADDR', 'RINGLOG_TENANT']);

/** @param option that named it. @throws UsageError */
export const readConfigFile = (name: string, option = 'config'): { readonly name: string; readonly text: string } => {
  try {
    return { name, text: readFileSync(name, 'utf8') };
  } catch (error) {
    throw new UsageError(`--${option}: ${(error as Error).message}`, { cause: error });
  }
};

const settings = (flags: ConfigFlags): ConfigInput =>
  Object.fromEntries(
    Object.entries({
      http_listen: flags.httpListen,
      grpc_listen: flags.grpcListen,
      data_dir: flags.dataDir,
      log_level: flags.logLevel,
    }).filter(([, value]) => value !== undefined),
  );

/** The file, the environment and the flags, as loadConfig takes them. */
export const configSourcesOf = (flags: ConfigFlags): ConfigSources => {
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !CLIENT_VARIABLES.has(name)));
  const file = flags.config === undefined ? {} : { file: readConfigFile(flags.config) };
  return { ...file, env, flags: settings(flags) };
};

export const addConfigOptions = (command: Command): Command =>
  command
    .addOption(new Option('--config <file>', 'YAML file with settings').env('RINGLOG_CONFIG'))
    .option('--http-listen <address>', 'host:port of the HTTP API; port 0 takes a free one, off switches it off')
    .option('--grpc-listen <address>', 'host:port for pushes over gRPC; port 0 takes a free one, off switches it off')
    .option('--data-dir <folder>', 'where chunks, the index and unflushed data are kept')
    .option('--log-level <level>', 'debug, info, warn or error');
