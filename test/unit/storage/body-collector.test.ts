import { once } from 'node:events';
import { expect } from 'chai';
import { BodyCollector } from '../../../src/storage/body-collector.ts';

const collected = async (collector: BodyCollector, parts: readonly string[]): Promise<string> => {
  for (const part of parts) collector.write(Buffer.from(part));
  collector.end();
  await once(collector, 'finish');
  const { bytes } = collector;
  expect([bytes.byteOffset, bytes.buffer.byteLength], 'a buffer of its own').to.deep.equal([0, bytes.length]);
  return Buffer.from(bytes).toString();
};

describe('a body collector', () => {
  it('puts parts together, of any size and of the one announced', async () => {
    expect(await collected(new BodyCollector(6, 100), ['ab', 'cd', 'ef'])).to.equal('abcdef');
    expect(await collected(new BodyCollector(undefined, 100), ['ab', 'cd'])).to.equal('abcd');
    expect(await collected(new BodyCollector(0, 100), [])).to.equal('');
  });

  it('takes fewer bytes and more than were announced', async () => {
    expect(await collected(new BodyCollector(9, 100), ['ab'])).to.equal('ab');
    expect(await collected(new BodyCollector(1, 100), ['ab', 'c', 'def'])).to.equal('abcdef');
    const large = 'x'.repeat(70_000);
    expect(await collected(new BodyCollector(undefined, 1 << 20), [large, large])).to.equal(large + large);
  });

  it('takes no more than the most, whatever is announced', async () => {
    const collector = new BodyCollector(2 ** 40, 4);
    collector.write(Buffer.from('abcd'));
    const failed = once(collector, 'error');
    collector.write(Buffer.from('e'));
    expect((await failed)[0])
      .to.be.instanceOf(Error)
      .with.property('message', 'more than 4 bytes');
  });
});
