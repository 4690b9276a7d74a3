/** Builds src/chunk/skip-grams-wasm.ts from src/chunk/skip-grams.wat:   node --import tsx scripts/build-wasm.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generatedModule } from './wasm-module.ts';

const folder = path.join(import.meta.dirname, '../src/chunk');
const source = readFileSync(path.join(folder, 'skip-grams.wat'), 'utf8');
writeFileSync(path.join(folder, 'skip-grams-wasm.ts'), await generatedModule(source));
