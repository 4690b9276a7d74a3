import { expect } from 'chai';
import { TurnBudget } from '../../../src/protocol/turn-budget.ts';
import { readGroup } from '../../../src/ruler/group-yaml.ts';
import type { StoredGroup } from '../../../src/ruler/rule-group.ts';
import { mergedStatuses, unknownStatus } from '../../../src/ruler/rule-status.ts';
import { Ruler, type RulerOptions } from '../../../src/ruler/ruler.ts';
import { ManualClock } from '../../support/clock.ts';

const OPTIONS: RulerOptions = { pollMs: 60_000, defaultIntervalMs: 60_000, enabledTenants: [], disabledTenants: [] };

const stored = (name: string, tenant = 't', expr = 'vector(1)'): StoredGroup => {
  const group = readGroup(JSON.stringify({ name, rules: [{ record: 'r', expr }] }));
  return { tenant, namespace: 'ns', name, group, version: expr };
};

describe('the ruler of a node', () => {
  let clock: ManualClock;
  let groups: readonly StoredGroup[];
  let looks: number;
  /** Looks end when it does. */
  let look: Promise<void>;
  let mine: ReadonlySet<string> | undefined;
  let problems: string[];
  let told: string[];
  let ruler: Ruler;
  /** Of time, to find out whether a group is here. */
  let costMs: number;

  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  const begin = async (options: Partial<RulerOptions> = {}, isStoreAway = () => false): Promise<void> => {
    ruler = new Ruler(
      { ...OPTIONS, ...options },
      {
        clock,
        store: {
          groups: async () => {
            looks += 1;
            if (isStoreAway()) throw new Error('away');
            await look;
            return groups;
          },
        },
        isHere: ({ name }) => {
          clock.advance(costMs);
          return mine?.has(name) ?? true;
        },
        ofRule: () => ({
          clock,
          query: async () => [],
          surroundings: { externalUrl: '', externalLabels: {} },
          turns: new TurnBudget(clock, 5),
          resendDelayMs: 1,
          alert: () => undefined,
          write: () => undefined,
          report: () => undefined,
        }),
        writesSamples: false,
        evaluated: () => undefined,
        report: (problem) => void problems.push(problem),
        info: (_fields, text) => void told.push(text),
      },
    );
    ruler.start();
    await settle();
  };
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  const running = (): readonly string[] => ruler.figures.map(({ tenant, name }) => `${tenant} ${name}`);

  beforeEach(() => {
    clock = new ManualClock();
    [groups, looks, mine, problems, told] = [[stored('a'), stored('b')], 0, undefined, [], []];
    look = Promise.resolve();
    costMs = 0;
  });
  afterEach(async () => {
    await ruler.stop();
    await settle();
    expect(clock.timers).to.equal(0);
  });

  it('looks at the store at once, and again with each poll', async () => {
    await begin();
    expect(running()).to.deep.equal(['t a', 't b']);
    groups = [stored('b'), stored('c')];
    await pass(59_999);
    expect(running()).to.deep.equal(['t a', 't b']);
    await pass(1);
    expect(running()).to.deep.equal(['t b', 't c']);
    expect(looks).to.equal(2);
  });

  it('looks soon when it is told that something changed, once for many', async () => {
    await begin();
    groups = [stored('a', 't', 'vector(2)')];
    for (let hints = 0; hints < 5; hints++) ruler.hint();
    await pass(100);
    expect([looks, running()]).to.deep.equal([2, ['t a']]);
    expect(ruler.statuses('t')[0]?.rules[0]?.rule.expr).to.equal('vector(2)');
    await pass(60_000);
    expect(looks).to.equal(3);
  });

  it('looks once more for all hints that come while it looks', async () => {
    await begin();
    let end: () => void = () => undefined;
    look = new Promise((resolve) => {
      end = resolve;
    });
    ruler.hint();
    await pass(100);
    for (let hints = 0; hints < 20; hints++) {
      ruler.hint();
      await pass(150);
    }
    expect(looks).to.equal(2);
    end();
    await settle();
    await pass(99);
    expect(looks).to.equal(2);
    await pass(1);
    expect(looks).to.equal(3);
    await pass(59_999);
    expect(looks).to.equal(3);
    await pass(1);
    expect(looks).to.equal(4);
  });

  it('follows the ring without a look at the store', async () => {
    mine = new Set(['a']);
    await begin();
    expect(running()).to.deep.equal(['t a']);
    mine = new Set(['b']);
    await pass(5_000);
    expect([looks, running()]).to.deep.equal([1, ['t b']]);
  });

  it('begins many groups in turns of the event loop, follows what changes meanwhile, and ends midway', async () => {
    groups = Array.from({ length: 12 }, (_, index) => stored(`g${index}`));
    costMs = 1;
    const begun: number[] = [];
    const started = begin();
    while (ruler.figures.length < 12 && begun.length < 30) {
      await new Promise((resolve) => setImmediate(resolve));
      begun.push(ruler.figures.length);
      if (ruler.figures.length === 6) {
        mine = new Set(groups.map(({ name }) => name).slice(1));
        clock.advance(5_000);
      }
      if (ruler.figures.length === 10) break;
    }
    await started;
    const steps = begun.map((count, index) => count - (begun[index - 1] ?? 0));
    expect(Math.max(...steps)).to.equal(2);
    expect(running()).to.deep.equal(groups.slice(1).map(({ name }) => `t ${name}`));
    mine = new Set();
    clock.advance(5_000);
    while (ruler.figures.length === 11) await new Promise((resolve) => setImmediate(resolve));
    expect(ruler.figures.length).to.be.within(1, 10);
    mine = undefined;
    await ruler.stop();
    await settle();
    expect(running()).to.deep.equal([]);
  });

  it('goes on with what it knows while the store is away', async () => {
    let isAway = false;
    await begin({}, () => isAway);
    isAway = true;
    await pass(60_000);
    expect(running()).to.deep.equal(['t a', 't b']);
    expect(problems).to.deep.equal(['the rules cannot be read: those that were read before hold']);
    isAway = false;
    groups = [];
    await pass(60_000);
    expect(running()).to.deep.equal([]);
  });

  it('evaluates for the tenants it is to', async () => {
    groups = ['t', 'u', 'v'].map((tenant) => stored('a', tenant));
    await begin({ enabledTenants: ['t', 'u'], disabledTenants: ['u'] });
    expect(running()).to.deep.equal(['t a']);
    expect(ruler.statuses('t')).to.have.length(1);
    expect(ruler.statuses('u')).to.deep.equal([]);
  });

  it('says that what is recorded goes nowhere, once for a group', async () => {
    await begin();
    await pass(60_000);
    expect(told).to.deep.equal(Array(2).fill('rules are recorded and sent nowhere: ruler.remote_write is not enabled'));
  });

  it('runs nothing once it has stopped', async () => {
    await begin();
    await Promise.all([ruler.stop(), ruler.stop()]);
    ruler.hint();
    ruler.start();
    await pass(120_000);
    expect([looks, running()]).to.deep.equal([1, []]);
  });
});

describe('what nodes tell of groups', () => {
  it('is one status a stored group: the latest, or that nobody has it yet', () => {
    const [a, b, c] = [stored('a'), stored('b'), stored('c')];
    const at = (one: StoredGroup, lastEvaluationMs: number) => ({ ...unknownStatus(one, 1000), lastEvaluationMs });
    const merged = mergedStatuses([a, b], [at(a, 5), at(c, 5), at(a, 7), at(a, 6)], 1000);
    expect(merged).to.deep.equal([at(a, 7), unknownStatus(b, 1000)]);
    expect(merged[1]).to.include({ intervalMs: 1000, lastEvaluationMs: 0 });
    expect(merged[1]?.rules[0]).to.include({ health: 'unknown' });
  });
});
