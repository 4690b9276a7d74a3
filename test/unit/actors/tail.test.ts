import { expect } from 'chai';
import { startTail, type TailDeps } from '../../../src/actors/tail.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import type { QueryResult } from '../../../src/query/query-messages.ts';
import { NO_STATISTICS } from '../../../src/query/query-messages.ts';
import type { TailListener } from '../../../src/query/tail-listener.ts';
import { ManualClock } from '../../support/clock.ts';

const NOTHING: QueryResult = { type: 'streams', streams: [], statistics: NO_STATISTICS };
const REQUEST = { tenant: 't', query: '{app="a"}', startNs: 0n, limit: 10, delayMs: 0 };
const STEP_MS = 250;
const BUSY = labelSetOf(['app', 'busy']);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('a tail that missed something', () => {
  it('looks it up less and less often while that fails, and at once again when it has worked', async () => {
    const clock = new ManualClock();
    let listener: TailListener | undefined;
    let isBroken = false;
    const looked: number[] = [];
    const deps: TailDeps = {
      clock,
      memory: {
        select: async () => [],
        subscribe: (_tenant, _matchers, own) => {
          listener = own;
          return () => undefined;
        },
      },
      queryAll: async () => {
        looked.push(clock.monotonicMs());
        if (isBroken) throw new RefusedError({ code: 'STORAGE_UNAVAILABLE', text: 'away' });
        return NOTHING;
      },
      queryStreams: async () => NOTHING,
      queryTimeoutMs: 1000,
    };
    const tail = startTail(deps, REQUEST);
    const reading = (async () => {
      for await (const _ of tail.frames) expect.fail('there is nothing to show');
    })();
    const pass = async (ms: number): Promise<void> => {
      for (let at = 0; at < ms; at += STEP_MS) {
        await turn();
        clock.advance(STEP_MS);
        for (let turns = 0; turns < 5; turns += 1) await turn();
      }
    };
    await pass(1_000);
    expect(looked, 'the newest, at the start').to.have.lengthOf(1);

    isBroken = true;
    looked.length = 0;
    listener?.missed(clock.nowMs());
    await pass(120_000);
    const rests = looked.slice(1).map((at, index) => at - (looked[index] ?? 0));
    expect(rests.slice(0, 7)).to.deep.equal([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);

    isBroken = false;
    looked.length = 0;
    await pass(31_000);
    expect(looked, 'found, and not asked for again').to.have.lengthOf(1);
    listener?.missed(clock.nowMs());
    await pass(500);
    expect(looked).to.have.lengthOf(2);
    tail.cancel();
    clock.advance(STEP_MS);
    await reading;
  });

  it('goes on showing what comes while it looks, and then what it found', async () => {
    const clock = new ManualClock();
    let listener: TailListener | undefined;
    const answers: ((result: QueryResult) => void)[] = [];
    /** Of the start, of a look-up, of what comes. */
    const ages: (number | undefined)[] = [];
    const deps: TailDeps = {
      clock,
      memory: {
        select: async () => [],
        subscribe: (_tenant, _matchers, own) => {
          listener = own;
          return () => undefined;
        },
      },
      queryAll: ({ deletesAgeMsMax }) => {
        ages.push(deletesAgeMsMax);
        return new Promise((resolve) => answers.push(resolve));
      },
      queryStreams: async ({ deletesAgeMsMax }, streams) => {
        ages.push(deletesAgeMsMax);
        return resultOf(
          streams.flatMap(({ labels }) =>
            Array.from(
              { length: labels === BUSY ? 60_000 : 1 },
              (_, index) => [2n + BigInt(index), labels.canonical] as const,
            ),
          ),
        );
      },
      queryTimeoutMs: 1000,
    };
    const tail = startTail(deps, REQUEST);
    const shown: string[] = [];
    const reading = (async () => {
      for await (const { streams } of tail.frames) {
        shown.push(...streams.flatMap(({ entries }) => entries.map(({ line }) => line)));
      }
    })();
    const pass = async (): Promise<void> => {
      for (let turns = 0; turns < 5; turns += 1) await turn();
      clock.advance(STEP_MS);
      for (let turns = 0; turns < 5; turns += 1) await turn();
    };
    await turn();
    answers[0]?.(NOTHING);
    listener?.missed(clock.nowMs());
    await pass();
    expect(answers, 'a look-up, not answered yet').to.have.lengthOf(2);
    listener?.appended({ labels: labelSetOf(['app', 'a']), segments: [] });
    await pass();
    expect(shown).to.deep.equal(['{app="a"}']);
    listener?.appended({ labels: BUSY, segments: [] });
    await pass();
    expect(shown.splice(1), 'more than is remembered else').to.have.lengthOf(60_000);
    answers[1]?.(
      resultOf([
        [1n, 'missed'],
        [2n, '{app="a"}'],
      ]),
    );
    await pass();
    await pass();
    expect(ages, 'how old delete requests may be').to.deep.equal([undefined, undefined, 10_000, 10_000]);
    expect(shown, 'each once').to.deep.equal(['{app="a"}', 'missed']);
    tail.cancel();
    clock.advance(STEP_MS);
    await reading;
  });
});

const resultOf = (lines: readonly (readonly [timeNs: bigint, line: string])[]): QueryResult => ({
  type: 'streams',
  streams: [{ labels: ['app', 'a'], entries: lines.map(([timeNs, line]) => ({ timeNs, line })) }],
  statistics: NO_STATISTICS,
});
