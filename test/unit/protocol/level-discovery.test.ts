import { expect } from 'chai';
import { EntryMetadata } from '../../../src/protocol/entry-metadata.ts';
import { LevelDiscovery } from '../../../src/protocol/level-discovery.ts';
import { LEVEL_PAIRS } from '../../../src/protocol/levels.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { StreamValidation } from '../../../src/protocol/push-validation.ts';
import { storedMetadata } from '../../../src/protocol/structured-metadata.ts';
import { columnsOf, entryAt, labelsOf, T0_MS } from '../../support/entries.ts';

const LINE = Buffer.from('level=error');

const levelWith = (metadata: readonly string[], labels: readonly string[] = ['app', 'web']): readonly string[] =>
  new LevelDiscovery(labels, DEFAULT_LIMITS).withLevel(metadata, storedMetadata(metadata) ?? [], LINE, 0, LINE.length);

describe('the level of an entry with metadata', () => {
  it('stands among its pairs, sorted by name', () => {
    expect(levelWith(['a', '1', 'z', '2'])).to.deep.equal(['a', '1', 'detected_level', 'error', 'z', '2']);
  });

  it('is that of a label of its stream before any other', () => {
    expect(levelWith(['level', 'debug'], ['app', 'web', 'level', 'WARN'])).to.include.members([
      'detected_level',
      'warn',
    ]);
  });

  it('is that of the field named first in the limits, whatever its case', () => {
    expect(levelWith(['lvl', 'dbg', 'severity', 'FATAL']).slice(0, 2)).to.deep.equal(['detected_level', 'fatal']);
  });

  it('is found under the name as it was sent, before names are made regular', () => {
    expect(levelWith(['log.level', 'trc']).slice(0, 2)).to.deep.equal(['detected_level', 'trace']);
  });

  it('is the text itself where that names no level', () => {
    expect(levelWith(['level', 'audit']).slice(0, 2)).to.deep.equal(['detected_level', 'audit']);
  });

  for (const [number, level] of [
    ['0', 'unknown'],
    ['1', 'trace'],
    ['8', 'debug'],
    ['9', 'info'],
    ['16', 'warn'],
    ['17', 'error'],
    ['24', 'fatal'],
    ['25', 'unknown'],
    ['high', 'info'],
  ] as const) {
    it(`is ${level} of severity number ${number}`, () => {
      expect(levelWith(['severity_number', number]).slice(0, 2)).to.deep.equal(['detected_level', level]);
    });
  }

  it('is not replaced, but brought into its usual form', () => {
    expect(levelWith(['detected_level', 'ERR'])).to.deep.equal(['detected_level', 'error']);
    expect(levelWith(['detected_level', 'own'])).to.deep.equal(['detected_level', 'own']);
  });
});

describe('the level of an entry without metadata', () => {
  it('is a byte: of the label, or of the line', () => {
    const levelOf = (labels: readonly string[]) =>
      LEVEL_PAIRS[new LevelDiscovery(labels, DEFAULT_LIMITS).levelOf(LINE, 0, LINE.length)];
    expect(levelOf(['app', 'web'])).to.deep.equal(['detected_level', 'error']);
    expect(levelOf(['lvl', 'Information'])).to.deep.equal(['detected_level', 'info']);
  });

  it('is a pair of its own where a label says something else', () => {
    expect(new LevelDiscovery(['level', 'audit'], DEFAULT_LIMITS).oddPair).to.deep.equal(['detected_level', 'audit']);
    expect(new LevelDiscovery(['level', 'info'], DEFAULT_LIMITS).oddPair).to.equal(undefined);
  });
});

describe('the search for levels in a push', () => {
  it('takes few long lines at a time, so that nobody is held up', () => {
    const lines = Array.from({ length: 64 }, () => entryAt(0, 'x'.repeat(200_000)));
    const columns = { ...columnsOf(lines), metadata: new EntryMetadata() };
    const stream = { columns, first: 0, end: lines.length, labelText: Buffer.from('{app="web"}') };
    const labels = labelsOf('{app="web"}');
    const levels = new LevelDiscovery(labels.pairs, DEFAULT_LIMITS);
    const checked = { canonical: labels.canonical, refused: undefined, levels };
    const validation = new StreamValidation(stream, checked, DEFAULT_LIMITS, T0_MS);
    expect(validation.step(512)).to.equal(false);
    expect(validation.partCount).to.be.within(1, 6);
    while (!validation.step(512));
    expect(validation.partCount).to.equal(lines.length);
    expect(columns.metadata.get(63)).to.deep.equal(['detected_level', 'unknown']);
  });

  it('looks at the first MiB of a line', () => {
    const levelAt = (offset: number) => {
      const line = Buffer.from(`${' '.repeat(offset)}error`);
      return LEVEL_PAIRS[new LevelDiscovery([], DEFAULT_LIMITS).levelOf(line, 0, line.length)]?.[1];
    };
    expect([levelAt(1_000_000), levelAt(1 << 20)]).to.deep.equal(['error', 'unknown']);
  });
});
