import { expect } from 'chai';
import type { StreamMemory } from '../../../src/actors/memory-source.ts';
import type { LoggedSegment } from '../../../src/chunk/memory-format.ts';
import { MemoryServer } from '../../../src/member/memory-server.ts';
import { encodeSelectRequest } from '../../../src/member/selection-message.ts';
import { bytesOfText } from '../../../src/protocol/byte-text.ts';
import { parseLabelText } from '../../../src/protocol/label-text.ts';
import { ManualClock } from '../../support/clock.ts';

const RANGE = { startNs: 0n, endNs: 1n };
const FROM = { nodeId: 'b', incarnation: 7, address: '' };

describe('MemoryServer', () => {
  const setup = () => {
    const clock = new ManualClock();
    const logged: LoggedSegment = {
      id: { nodeId: 'x', incarnation: 1, counter: 1 },
      minTime: 0n,
      maxTime: 1n,
      bytes: 1 << 20,
      load: () => Promise.reject(new Error('nobody loads')),
    };
    const stream = { labels: parseLabelText(bytesOfText('{a="b"}')), segments: [logged] };
    const memory = { select: async () => [stream] } as unknown as StreamMemory;
    const server = new MemoryServer({ clock, memory, viewSince: async () => 1 });
    const call = new AbortController();
    const request = encodeSelectRequest({ changedAt: 1, tenant: 't', matchers: [], range: RANGE, selection: 3 });
    const incoming = { from: FROM, class: 'query' as const, deadlineMs: 2000, signal: call.signal };
    const answers = server.select(request, incoming)[Symbol.asyncIterator]();
    return { clock, server, call, answers };
  };

  it('keeps a selection for as long as its call', async () => {
    const { clock, server, call, answers } = setup();
    await answers.next();
    const end = answers.next();
    expect(server.selected(FROM, 3, 0)).to.not.equal(undefined);
    call.abort();
    expect((await end).done).to.equal(true);
    expect([server.selections, clock.timers]).to.deep.equal([0, 0]);
  });

  it('ends the call of one that its asker has forgotten', async () => {
    const { clock, server, answers } = setup();
    await answers.next();
    const end = answers.next();
    clock.advance(599_000);
    expect(server.selections).to.equal(1);
    clock.advance(1_000);
    expect((await end).done).to.equal(true);
    expect([server.selections, server.selected(FROM, 3, 0)]).to.deep.equal([0, undefined]);
  });

  it('drops one whose asker has stopped to read', async () => {
    const { clock, server, answers } = setup();
    await answers.next();
    clock.advance(600_000);
    expect(server.selections).to.equal(0);
  });
});
