import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { generatedModule, WASM_SOURCES } from '../../../scripts/wasm-module.ts';

const ROOT = path.join(import.meta.dirname, '../../..');

describe('modules of WebAssembly', () => {
  for (const source of WASM_SOURCES) {
    it(`${source} was assembled from its source`, async () => {
      const text = readFileSync(path.join(ROOT, `${source}.wat`), 'utf8');
      const kept = readFileSync(path.join(ROOT, `${source}-wasm.ts`), 'utf8');
      expect(kept, 'run scripts/build-wasm.ts').to.equal(await generatedModule(path.basename(source), text));
    });
  }
});
