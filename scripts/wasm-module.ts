import initWabt from 'wabt';

/** Sources in WebAssembly's text, without `.wat`: beside each lies the module that is generated from it. */
export const WASM_SOURCES = ['src/chunk/skip-grams', 'src/logql/stages/json-members'] as const;

/** The text of `…/name-wasm.ts` for the text of `…/name.wat`. @throws Error for what does not assemble */
export const generatedModule = async (name: string, source: string): Promise<string> => {
  const wabt = await initWabt();
  const module = wabt.parseWat(`${name}.wat`, source, { simd: true, bulk_memory: true });
  module.validate();
  const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64');
  const constant = `${name.toUpperCase().replaceAll('-', '_')}_WASM`;
  return `/** Generated from ${name}.wat by scripts/build-wasm.ts. */\nexport const ${constant} =\n  '${base64}';\n`;
};
