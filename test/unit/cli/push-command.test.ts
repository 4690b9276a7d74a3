import { expect } from 'chai';
import fc from 'fast-check';
import { linesOf } from '../../../src/cli/push-command.ts';

const collect = async (chunks: readonly Buffer[]): Promise<readonly string[]> => {
  const lines: string[] = [];
  const source = (async function* () {
    yield* chunks;
  })();
  for await (const line of linesOf(source)) lines.push(line.toString('latin1'));
  return lines;
};

describe('linesOf', () => {
  it('splits at newlines, keeps empty lines and the last one without its newline', async () => {
    expect(await collect([Buffer.from('a\n\nb\r\nc')])).to.deep.equal(['a', '', 'b\r', 'c']);
    expect(await collect([Buffer.from('a\n')])).to.deep.equal(['a']);
    expect(await collect([])).to.deep.equal([]);
  });

  it('finds the same lines however the bytes are cut', async () => {
    const text = fc.stringMatching(/^[ab\n]{0,60}$/);
    await fc.assert(
      fc.asyncProperty(text, fc.array(fc.nat(60), { maxLength: 5 }), async (whole, cuts) => {
        const places = [0, ...cuts.filter((cut) => cut < whole.length), whole.length].sort((a, b) => a - b);
        const chunks = places.slice(1).map((end, index) => Buffer.from(whole.slice(places[index], end)));
        const expected = whole.split('\n');
        if (expected.at(-1) === '') expected.pop();
        expect(await collect(chunks)).to.deep.equal(expected);
      }),
      { numRuns: 300 },
    );
  });
});
