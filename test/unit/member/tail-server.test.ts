import { expect } from 'chai';
import { Segment } from '../../../src/chunk/segment.ts';
import { encodeSelectRequest } from '../../../src/member/selection-message.ts';
import { decodeTailPart } from '../../../src/member/tail-message.ts';
import { TailServer } from '../../../src/member/tail-server.ts';
import type { MemoryStream } from '../../../src/query/query-source.ts';
import type { TailListener } from '../../../src/query/tail-listener.ts';
import { ManualClock } from '../../support/clock.ts';
import { entryAt, labelsOf, rangeOf, T0_NS } from '../../support/entries.ts';

const LABELS = labelsOf('{app="web"}');
const RANGE = { startNs: 0n, endNs: 0n };
const QUESTION = encodeSelectRequest({ changedAt: 0, tenant: 'tenant', matchers: [], range: RANGE, selection: 0 });

const streamOf = (lines: readonly string[]): MemoryStream => {
  const limits = { blockSize: Number.POSITIVE_INFINITY, targetSize: Number.POSITIVE_INFINITY };
  const segment = new Segment({ nodeId: 'tail', incarnation: 0, counter: 0 }, limits);
  segment.append(rangeOf(lines.map((line, index) => entryAt(index, line))));
  return { labels: LABELS, segments: [segment.snapshot()] };
};

describe('what a node tells of its appends', () => {
  let clock: ManualClock;
  let listener: TailListener | undefined;
  let parts: AsyncGenerator<readonly Uint8Array[]>;
  let asker: AbortController;

  beforeEach(async () => {
    clock = new ManualClock();
    asker = new AbortController();
    const memory = {
      subscribe: (_tenant: string, _matchers: unknown, told: TailListener) => {
        listener = told;
        return () => {
          listener = undefined;
        };
      },
    };
    parts = new TailServer(clock, memory).tail(QUESTION, { signal: asker.signal });
  });

  const next = async (advanceMs = 200) => {
    const part = parts.next();
    await Promise.resolve();
    clock.advance(advanceMs);
    const { value, done } = await part;
    return done ? undefined : decodeTailPart(Buffer.concat(value as Uint8Array[]));
  };

  it('begins with nothing, once it listens', async () => {
    expect(await next()).to.deep.equal({ streams: [], dropped: [] });
    expect(listener).not.to.equal(undefined);
  });

  it('is what was appended', async () => {
    await next();
    listener?.appended(streamOf(['one', 'two']));
    const part = await next();
    expect(part?.streams.map(({ labels }) => labels.canonical)).to.deep.equal([LABELS.canonical]);
    expect(part?.streams[0]?.segments).to.have.length(1);
  });

  it('names what it could not keep', async () => {
    await next();
    const large = streamOf(['x'.repeat(9 << 20)]);
    listener?.appended(large);
    listener?.appended(streamOf(['dropped']));
    expect((await next())?.dropped).to.deep.equal([{ timeNs: T0_NS, labels: ['app', 'web'] }]);
  });

  it('ends with its asker, and listens no more', async () => {
    await next();
    const part = parts.next();
    asker.abort();
    expect((await part).done).to.equal(true);
    expect(listener).to.equal(undefined);
  });
});
