import initWabt from 'wabt';

/** The text of skip-grams-wasm.ts for the text of skip-grams.wat. @throws Error for what does not assemble */
export const generatedModule = async (source: string): Promise<string> => {
  const wabt = await initWabt();
  const module = wabt.parseWat('skip-grams.wat', source, { simd: true, bulk_memory: true });
  module.validate();
  const base64 = Buffer.from(module.toBinary({}).buffer).toString('base64');
  return `/** Generated from skip-grams.wat by scripts/build-wasm.ts. */\nexport const SKIP_GRAMS_WASM =\n  '${base64}';\n`;
};
