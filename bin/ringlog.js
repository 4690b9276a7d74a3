#!/usr/bin/env node
// Runs the built command line, or in a checkout whose sources are newer (or not built) the sources themselves through tsx.
import { existsSync, readdirSync, statSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { fileURLToPath } from 'node:url';
import workerThreads from 'node:worker_threads';

const built = new URL('../dist/src/cli.js', import.meta.url);
const source = new URL('../src/cli.ts', import.meta.url);

const changedMs = (url) => statSync(fileURLToPath(url)).mtimeMs;

const newestSourceMs = () =>
  readdirSync(fileURLToPath(new URL('./', source)), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((newest, { parentPath, path, name }) => Math.max(newest, statSync(`${parentPath ?? path}/${name}`).mtimeMs), 0);

/** Registers tsx in this thread and in the workers it will start: those inherit only what stood on node's command line. */
const runSources = async () => {
  const tsx = import.meta.resolve('tsx');
  const { register } = await import('tsx/esm/api');
  register();
  const { Worker } = workerThreads;
  workerThreads.Worker = class extends Worker {
    constructor(file, options = {}) {
      super(file, { execArgv: ['--import', tsx], ...options });
    }
  };
  syncBuiltinESMExports();
  await import(source);
};

if (existsSync(built) && (!existsSync(source) || changedMs(built) >= newestSourceMs())) await import(built);
else await runSources();
