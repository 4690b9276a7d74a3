import { expect } from 'chai';
import { LinePatterns } from '../../../src/query/line-patterns.ts';

const SECOND = 1_000_000_000n;

describe('patterns of lines', () => {
  it('are counted in steps, by level, most lines first', () => {
    const patterns = new LinePatterns(10n * SECOND);
    const add = (seconds: bigint, line: string, level?: string): void =>
      patterns.add({ timeNs: seconds * SECOND + 5n, line, metadata: level ? ['a', 'b', 'detected_level', level] : [] });
    add(25n, 'took 1 ms', 'info');
    add(19n, 'took 2 ms', 'info');
    add(10n, 'took 3 ms', 'info');
    add(11n, 'took 3 ms', 'error');
    add(11n, 'plain');
    expect(patterns.list()).to.deep.equal([
      {
        pattern: 'took <_> ms',
        level: 'info',
        samples: [
          [10, 2],
          [20, 1],
        ],
      },
      { pattern: 'took 3 ms', level: 'error', samples: [[10, 1]] },
      { pattern: 'plain', level: 'unknown', samples: [[10, 1]] },
    ]);
  });
});
