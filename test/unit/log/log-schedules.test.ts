import { expect } from 'chai';
import fc from 'fast-check';
import type { Log } from '../../../src/log/log.ts';
import type { LogSegment } from '../../../src/log/segment-table.ts';
import { ManualClock } from '../../support/clock.ts';
import { rangeOf, type TestEntry } from '../../support/entries.ts';
import { PowerLossFiles } from '../../support/log/power-loss-files.ts';
import { HEADER, openTestLog, readAll, seededChance, segmentId, turn } from '../../support/log/test-log.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

type Action =
  | { readonly type: 'open' }
  | { readonly type: 'append'; readonly segment: number; readonly lines: number; readonly lineSize: number }
  | { readonly type: 'flush' | 'drop'; readonly segment: number }
  | { readonly type: 'microtasks'; readonly count: number }
  | { readonly type: 'turns'; readonly count: number }
  | { readonly type: 'settle' | 'tidy' | 'start-tidy' | 'heal' | 'kill' | 'lose-power' | 'stop' }
  | {
      readonly type: 'fault';
      readonly step: 'write' | 'sync' | 'unlink' | 'truncate' | 'rename';
      readonly code: string;
      readonly times: number;
    };

/** What the test knows of a segment: entries in the order the log took them, and how many are promised to be there. */
interface Known {
  readonly counter: number;
  readonly incarnation: number;
  readonly entries: TestEntry[];
  acknowledged: number;
  /** `asked`: it may be dead, or live with all that is acknowledged; `yes`: it must be dead. */
  ended: 'no' | 'asked' | 'yes';
  handle: LogSegment | undefined;
}

const labelsOf = ({ counter, incarnation }: Known): readonly string[] => ['app', `${incarnation}-${counter}`];

/** One disk, one process after another on it, and a memory that no crash touches. */
class Schedule {
  readonly #disk = new PowerLossFiles();
  readonly #clock = new ManualClock();
  readonly #chance: () => number;
  readonly #known: Known[] = [];
  #incarnation = 0;
  #counter = 0;
  #time = 1_700_000_000_000_000_000n;
  #log: Log | undefined;
  #pending: Promise<unknown>[] = [];
  crashes = 0;
  acknowledged = 0;
  compactions = 0;

  constructor(seed: number) {
    this.#chance = seededChance(seed);
  }

  async run(actions: readonly Action[]): Promise<void> {
    await this.#start();
    for (const action of actions) {
      await this.#perform(action);
      expect(this.#log!.segmentCount).to.equal([...this.#log!.segments()].length);
    }
    this.#disk.clear();
    await this.#settle();
    await this.#restart('lose-power');
    await this.#endAll();
  }

  async #perform(action: Action): Promise<void> {
    switch (action.type) {
      case 'open':
        this.#open();
        return;
      case 'append':
        this.#append(action);
        return;
      case 'flush':
      case 'drop':
        this.#end(action.segment, action.type);
        return;
      case 'microtasks':
        for (let left = action.count; left > 0; left -= 1) await Promise.resolve();
        return;
      case 'turns':
        for (let left = action.count; left > 0; left -= 1) await turn();
        return;
      case 'settle':
        await this.#settle();
        return;
      case 'tidy':
      case 'start-tidy': {
        this.#clock.advance(1000);
        const tidied = this.#log!.tidy();
        if (action.type === 'tidy') await tidied;
        return;
      }
      case 'fault':
        this.#disk.inject(action);
        return;
      case 'heal':
        this.#disk.clear();
        return;
      case 'kill':
      case 'lose-power':
      case 'stop':
        await this.#restart(action.type);
        return;
    }
  }

  #open(): Known {
    this.#counter += 1;
    const known: Known = {
      counter: this.#counter,
      incarnation: this.#incarnation,
      entries: [],
      acknowledged: 0,
      ended: 'no',
      handle: undefined,
    };
    known.handle = this.#log!.open(segmentId(known.counter, known.incarnation), { ...HEADER, labels: labelsOf(known) });
    this.#known.push(known);
    return known;
  }

  #append({ segment, lines, lineSize }: Extract<Action, { type: 'append' }>): void {
    const open = this.#known.filter(
      ({ incarnation, handle, ended }) => incarnation === this.#incarnation && ended === 'no' && !handle?.isRefused,
    );
    const known = open[segment % Math.max(1, open.length)] ?? this.#open();
    const handle = known.handle!;
    const entries = Array.from({ length: lines }, (): TestEntry => {
      this.#time += 1n;
      const line = `${this.#time} ${'x'.repeat(lineSize)}`;
      return lineSize % 3 === 0
        ? { timeNs: this.#time, line, metadata: ['k', `${lineSize}`] }
        : { timeNs: this.#time, line };
    });
    const before = handle.accepted;
    const appended = this.#log!.append(handle, rangeOf(entries));
    // Refused at once: the log has nothing of it.
    if (handle.accepted > before) known.entries.push(...entries);
    const end = handle.accepted;
    const process = this.#incarnation;
    this.#pending.push(
      appended.then(
        () => {
          expect(process, 'acknowledged by a process that is no more').to.equal(this.#incarnation);
          known.acknowledged = Math.max(known.acknowledged, end);
          this.acknowledged += 1;
        },
        () => undefined,
      ),
    );
  }

  #end(segment: number, how: 'flush' | 'drop'): void {
    const ready = this.#known.filter(({ handle, ended }) => handle && ended !== 'yes');
    const known = ready[segment % Math.max(1, ready.length)];
    if (!known?.handle) return;
    const { handle } = known;
    known.ended = 'asked';
    const end =
      how === 'drop'
        ? this.#log!.drop(handle)
        : Promise.all([this.#log!.seal(handle, handle.accepted), this.#log!.flushed(handle, handle.accepted, true)]);
    this.#pending.push(
      end.then(
        () => {
          known.ended = 'yes';
        },
        () => undefined,
      ),
    );
  }

  async #settle(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    await Promise.all(pending);
  }

  async #restart(how: 'kill' | 'lose-power' | 'stop'): Promise<void> {
    this.crashes += 1;
    this.compactions += this.#log!.figures.compactedFiles;
    if (how === 'stop') {
      await this.#settle();
      await this.#log!.close();
    }
    if (how === 'lose-power') this.#disk.crash(this.#chance);
    else this.#disk.kill();
    // What is left of the old process gets its errors.
    for (let left = 5; left > 0; left -= 1) await turn();
    this.#pending = [];
    this.#disk.clear();
    await this.#start();
    await this.#check();
  }

  async #start(): Promise<void> {
    this.#incarnation += 1;
    this.#counter = 0;
    this.#log = await openTestLog(this.#disk.process(), {
      clock: this.#clock,
      incarnation: this.#incarnation,
      fileSizeMax: 12 << 10,
      // Room for everything: what waits in line is a matter for other tests.
      batchSizeMax: 1 << 20,
      compactAgeMs: 500,
      compactLiveShareMax: 0.5,
    });
  }

  async #check(): Promise<void> {
    const log = this.#log!;
    const { recovery } = log;
    expect(recovery.damagedBytes, 'damage reported where there is none').to.equal(0);
    expect(recovery.missingEntries).to.equal(0);
    const live = new Set(log.segments());
    for (const known of this.#known) {
      const segment = log.find(segmentId(known.counter, known.incarnation));
      known.handle = undefined;
      const isLive = segment !== undefined && live.delete(segment);
      if (known.ended === 'yes') expect(isLive, 'ended, and there again').to.equal(false);
      if (!isLive) {
        if (known.ended === 'no') expect(known.acknowledged, 'acknowledged, and gone').to.equal(0);
        known.entries.length = 0;
        known.acknowledged = 0;
        known.ended = 'yes';
        continue;
      }
      const { entries, gaps } = await readAll(log, segment);
      expect(gaps).to.deep.equal([]);
      expect(segment.header?.labels).to.deep.equal(labelsOf(known));
      expect(entries.length, 'acknowledged, and lost').to.be.at.least(known.acknowledged);
      expect(entries).to.deep.equal(known.entries.slice(0, entries.length));
      known.entries.length = entries.length;
      known.handle = segment;
      // It was asked for, and did not happen: it may be asked for again.
      known.ended = 'no';
    }
    expect([...live], 'segments that nobody wrote').to.deep.equal([]);
  }

  /** A healthy disk: everything is flushed, and the space comes back. */
  async #endAll(): Promise<void> {
    const log = this.#log!;
    for (const segment of log.segments()) await log.flushed(segment, segment.count, true);
    this.#clock.advance(1000);
    await log.tidy();
    await log.tidy();
    expect([...log.segments()]).to.deep.equal([]);
    expect(log.figures.liveBytes).to.equal(0);
    expect(log.figures.files, 'files that nobody needs').to.be.at.most(1);
    await log.close();
  }
}

const index = fc.nat({ max: 20 });
const RUNS = propertyRuns(30);

const actions = fc.array(
  fc.oneof(
    { weight: 1, arbitrary: fc.constant<Action>({ type: 'open' }) },
    {
      weight: 12,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        segment: index,
        lines: fc.integer({ min: 1, max: 6 }),
        lineSize: fc.oneof(fc.nat({ max: 60 }), fc.nat({ max: 900 })),
      }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('flush' as const, 'drop' as const), segment: index }) },
    {
      weight: 3,
      arbitrary: fc.record({ type: fc.constant('microtasks' as const), count: fc.integer({ min: 1, max: 30 }) }),
    },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 3, arbitrary: fc.constantFrom<Action>({ type: 'settle' }, { type: 'tidy' }, { type: 'start-tidy' }) },
    { weight: 2, arbitrary: fc.constantFrom<Action>({ type: 'kill' }, { type: 'lose-power' }, { type: 'stop' }) },
    {
      weight: 1,
      arbitrary: fc.record({
        type: fc.constant('fault' as const),
        step: fc.constantFrom(...(['write', 'sync', 'unlink', 'truncate', 'rename'] as const)),
        code: fc.constantFrom('ENOSPC', 'EIO', 'EROFS'),
        times: fc.integer({ min: 1, max: 4 }),
      }),
    },
    { weight: 1, arbitrary: fc.constant<Action>({ type: 'heal' }) },
  ),
  { minLength: 10, maxLength: 90, size: 'max' },
);

describe('a log under appends, flushes, compactions, broken disks and power losses', () => {
  it('keeps what it acknowledged, once and in order, and invents nothing', async () => {
    const seen = { runs: 0, crashes: 0, acknowledged: 0, compactions: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(), actions, async (seed, steps) => {
        const schedule = new Schedule(seed);
        await schedule.run(steps);
        seen.runs += 1;
        seen.crashes += schedule.crashes;
        seen.acknowledged += schedule.acknowledged;
        seen.compactions += schedule.compactions;
      }),
      { numRuns: RUNS },
    );
    expect(seen.crashes, 'crashes happened').to.be.greaterThan(0.9 * seen.runs);
    expect(seen.acknowledged, 'appends were acknowledged').to.be.greaterThan(3 * seen.runs);
    expect(seen.compactions, 'files were compacted').to.be.greaterThan(0.03 * seen.runs);
  }).timeout(PROPERTY_TIMEOUT_MS);
});
