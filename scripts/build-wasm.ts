/** Builds the modules of all WebAssembly sources:   node --import tsx scripts/build-wasm.ts */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { generatedModule, WASM_SOURCES } from './wasm-module.ts';

for (const source of WASM_SOURCES) {
  const file = path.join(import.meta.dirname, '..', source);
  writeFileSync(`${file}-wasm.ts`, await generatedModule(path.basename(source), readFileSync(`${file}.wat`, 'utf8')));
}
