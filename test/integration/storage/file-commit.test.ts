import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expect } from 'chai';
import {
  type FileChange,
  FileCommitter,
  type FileOutcome,
  type FileSteps,
  TEMPORARY,
} from '../../../src/storage/file-commit.ts';

type SyncStep = Exclude<keyof FileSteps, 'fdatasync'>;
type Step = keyof FileSteps;

const STEPS: readonly SyncStep[] = [
  'closeSync',
  'fsyncSync',
  'mkdirSync',
  'openSync',
  'renameSync',
  'rmdirSync',
  'unlinkSync',
  'writeSync',
];

/** The real file system, asked step by step: `before` may refuse one. Files are written 3 bytes at a time. */
const stepByStep = (before: (step: Step, subject: unknown) => void): FileSteps => {
  const steps = Object.fromEntries(
    STEPS.map((step) => [
      step,
      (...given: readonly unknown[]) => {
        before(step, given[0]);
        const short = step === 'writeSync' ? [given[0], given[1], given[2], Math.min(3, Number(given[3]))] : given;
        return (fs[step] as (...given: readonly unknown[]) => unknown)(...short);
      },
    ]),
  );
  const fdatasync: FileSteps['fdatasync'] = (handle, done) => {
    try {
      before('fdatasync', handle);
    } catch (error) {
      done(error as NodeJS.ErrnoException);
      return;
    }
    fs.fdatasync(handle, done);
  };
  return { ...(steps as unknown as FileSteps), fdatasync };
};

const write = (file: string, text = file): FileChange => ({ path: file, bytes: Buffer.from(text) });
const remove = (file: string): FileChange => ({ path: file, bytes: undefined });
const areOk = (outcomes: readonly FileOutcome[]): readonly boolean[] => outcomes.map(({ ok }) => ok);

describe('a commit of files', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'ringlog-commit-'));
    fs.mkdirSync(path.join(root, TEMPORARY));
  });

  afterEach(async () => {
    await rm(root, { recursive: true });
  });

  const textOf = (file: string): string | undefined => {
    const full = path.join(root, file);
    return fs.existsSync(full) ? fs.readFileSync(full, 'utf8') : undefined;
  };

  const unfinished = (): readonly string[] => fs.readdirSync(path.join(root, TEMPORARY));

  it('syncs every file before it gets its name, and each folder once, after all names', async () => {
    const log: string[] = [];
    const names = new Map<unknown, string>();
    const steps = stepByStep((step, subject) => {
      const name = typeof subject === 'string' ? path.relative(root, subject) : `${names.get(subject)}`;
      if (step !== 'closeSync' && step !== 'mkdirSync' && step !== 'openSync') log.push(`${step} ${kindOf(name)}`);
    });
    const committer = new FileCommitter(root, {
      ...steps,
      openSync: (file, ...more) => {
        const handle = steps.openSync(file, ...more);
        names.set(handle, path.relative(root, String(file)));
        return handle;
      },
    });
    await committer.commit([write('t/1/first', 'x'), write('u/1/first', 'x')]);
    log.length = 0;
    const outcomes = await committer.commit([write('t/1/a', 'x'), write('u/1/b', 'x'), write('t/1/c', 'x')]);
    expect(areOk(outcomes)).to.deep.equal([true, true, true]);
    expect(log).to.deep.equal([
      ...Array.from({ length: 3 }, () => 'writeSync unfinished'),
      ...Array.from({ length: 3 }, () => 'fdatasync unfinished'),
      ...Array.from({ length: 3 }, () => 'renameSync unfinished'),
      'fsyncSync t/1',
      'fsyncSync u/1',
    ]);
  });

  it('leaves whole files alone under their names, wherever a crash comes', async () => {
    const old = write('t/1/old');
    const changes = [
      write('t/1/a'),
      write('t/2/b'),
      remove('t/1/old'),
      write('u/1/c'),
      write('t/1/old'),
      write('t/1/a'),
    ];
    let crashAfter = 0;
    for (let isCrashed = true; isCrashed; crashAfter++) {
      for (const name of fs.readdirSync(root)) fs.rmSync(path.join(root, name), { recursive: true });
      fs.mkdirSync(path.join(root, TEMPORARY));
      await new FileCommitter(root).commit([old]);
      let steps = 0;
      isCrashed = false;
      // Nothing works any more once it has crashed: neither does cleaning up.
      const committer = new FileCommitter(
        root,
        stepByStep(() => {
          if (steps++ < crashAfter) return;
          isCrashed = true;
          throw new Error('crashed');
        }),
      );
      const outcomes = await committer.commit(changes);
      for (const file of ['t/1/a', 't/2/b', 't/1/old', 'u/1/c']) {
        expect([undefined, file], `crash after ${crashAfter} steps`).to.include(textOf(file));
      }
      for (const [index, { ok }] of outcomes.entries()) {
        const { path: file, bytes } = changes[index] as FileChange;
        if (ok && bytes) expect(textOf(file), `done, crash after ${crashAfter} steps`).to.equal(file);
      }
    }
    expect(crashAfter).to.be.greaterThan(50);
  });

  for (const step of ['openSync', 'writeSync', 'fdatasync', 'renameSync'] as const) {
    it(`fails only the file whose ${step} fails, and leaves nothing of it`, async () => {
      let left = 2;
      const committer = new FileCommitter(
        root,
        stepByStep((asked) => {
          if (asked !== step || --left !== 0) return;
          throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        }),
      );
      const outcomes = await committer.commit([write('t/1/a', 'a'), write('t/1/b', 'b'), write('t/1/c', 'c')]);
      expect(outcomes.filter(({ ok }) => !ok)).to.deep.equal([{ ok: false, code: 'ENOSPC', message: 'no space' }]);
      const others = ['a', 'b', 'c'].filter((_, index) => outcomes[index]?.ok);
      expect(fs.readdirSync(path.join(root, 't/1'))).to.have.members(others);
      expect(unfinished()).to.deep.equal([]);
    });
  }

  it('fails all files of a folder that cannot be synced, and no others', async () => {
    let isBroken = false;
    const committer = new FileCommitter(
      root,
      stepByStep((step, subject) => {
        if (isBroken && step === 'openSync' && subject === path.join(root, 't/1')) throw new Error('broken');
      }),
    );
    await committer.commit([write('t/1/first')]);
    isBroken = true;
    expect(areOk(await committer.commit([write('t/1/a'), write('t/2/b'), write('t/1/c')]))).to.deep.equal([
      false,
      true,
      false,
    ]);
  });

  it('takes the changes of one file in their order', async () => {
    const committer = new FileCommitter(root);
    const outcomes = await committer.commit([
      write('t/1/a', 'one'),
      remove('t/1/a'),
      remove('t/1/a'),
      write('t/1/a', 'two'),
    ]);
    expect(outcomes).to.deep.equal([
      { ok: true, wasThere: false },
      { ok: true, wasThere: true },
      { ok: true, wasThere: false },
      { ok: true, wasThere: false },
    ]);
    expect(textOf('t/1/a')).to.equal('two');
  });

  it('makes a folder again that somebody else removed', async () => {
    const committer = new FileCommitter(root);
    await committer.commit([write('t/1/a')]);
    fs.rmSync(path.join(root, 't'), { recursive: true });
    expect(areOk(await committer.commit([write('t/1/b')]))).to.deep.equal([true]);
    expect(textOf('t/1/b')).to.equal('t/1/b');
  });
});

const kindOf = (name: string): string => (name.startsWith(TEMPORARY) ? 'unfinished' : name);
