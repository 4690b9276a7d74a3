import { expect } from 'chai';
import { EntryPrinter, formatTime, parseOutput } from '../../../src/cli/entry-printer.ts';
import { printMatrix, printVector, resampled, tableText } from '../../../src/cli/metric-printer.ts';
import type { Terminal } from '../../../src/cli/terminal.ts';

class RecordingTerminal implements Terminal {
  readonly lines: string[] = [];
  readonly notes: string[] = [];
  readonly isColored: boolean;
  readonly isInteractive = false;
  readonly columns = 60;

  constructor(isColored = false) {
    this.isColored = isColored;
  }

  async line(text: string): Promise<void> {
    this.lines.push(...text.split('\n'));
  }

  async raw(text: string): Promise<void> {
    this.lines.push(text);
  }

  note(text: string): void {
    this.notes.push(text);
  }
}

const ENTRY = { timeNs: 1_710_028_800_123_456_789n, line: 'hello\n', labels: { app: 'x', i: '1' } };

describe('EntryPrinter', () => {
  const printed = async (...[output, common, width]: [Parameters<typeof parseOutput>[0], object?, number?]) => {
    const terminal = new RecordingTerminal();
    await new EntryPrinter(terminal, parseOutput(output), { ...common }, width).print(ENTRY);
    return terminal.lines[0];
  };

  it('prints time, the labels that are not common, padded, and the line without its newline', async () => {
    expect(await printed('default', { app: 'x' }, 10)).to.equal('2024-03-10T00:00:00.123Z {i="1"}    hello');
  });

  it('prints the bare line', async () => expect(await printed('raw')).to.equal('hello'));

  it('prints JSON with the whole time and all labels', async () => {
    expect(JSON.parse((await printed('jsonl', { app: 'x' })) ?? '')).to.deep.equal({
      timestamp: '2024-03-10T00:00:00.123Z',
      timestampNs: '1710028800123456789',
      labels: { app: 'x', i: '1' },
      line: 'hello\n',
    });
  });

  it('colours labels on a terminal, equal ones alike', async () => {
    const terminal = new RecordingTerminal(true);
    const printer = new EntryPrinter(terminal, 'default');
    await printer.print(ENTRY);
    await printer.print({ ...ENTRY, labels: { app: 'x', i: '1' } });
    expect(terminal.lines[0]?.replaceAll('\u001b', 'ESC')).to.match(/Z ESC\[3\dm\{app="x", i="1"\}ESC\[0m hello$/);
    expect(terminal.lines[1]).to.equal(terminal.lines[0]);
  });

  it('refuses an unknown form', () => expect(() => parseOutput('xml')).to.throw('--output: "xml" is not one of'));

  it('prints times of years before 1970', () => expect(formatTime(-1_000_000n)).to.equal('1969-12-31T23:59:59.999Z'));
});

describe('metric printers', () => {
  const series = (i: string, values: readonly (readonly [number, string])[]) => ({ metric: { i }, values });

  it('keep every peak when points share a column', () => {
    const values = Array.from({ length: 100 }, (_, index) => [index, index === 37 ? '9' : '1'] as const);
    const columns = resampled(series('1', values), 0, 99, 10);
    expect(columns).to.have.length(10);
    expect(columns[3]).to.equal(9);
  });

  it('draw gaps as 0 and leave out what is no number', () => {
    expect(
      resampled(
        series('1', [
          [0, '1'],
          [5, 'NaN'],
          [9, '2'],
        ]),
        0,
        9,
        3,
      ),
    ).to.deep.equal([1, 0, 2]);
  });

  it('align columns', () => {
    expect(tableText(['a', 'count'], [['long label', '5']])).to.equal(
      'a           count\n----------  -----\nlong label      5',
    );
  });

  it('plot a range answer and sum it up in a table', async () => {
    const terminal = new RecordingTerminal();
    await printMatrix(terminal, [
      series('1', [
        [1_710_028_800, '1'],
        [1_710_028_860, '3'],
        [1_710_028_920, '2'],
      ]),
      series('2', []),
    ]);
    const text = terminal.lines.join('\n');
    expect(text).to.include('2024-03-10T00:00:00.000Z … 2024-03-10T00:02:00.000Z');
    expect(terminal.lines.at(-1)).to.match(/^\{i="1"\} +3 +1 +2 +3 +2$/);
    expect(text).not.to.include('{i="2"}');
    expect(text).to.match(/[╭╮╯╰]/);
  });

  it('plot constant, negative, infinite and single values without failing', async () => {
    for (const values of [['5', '5'], ['-1', '-3'], ['+Inf', 'NaN'], ['7']]) {
      const terminal = new RecordingTerminal();
      await printMatrix(terminal, [
        series(
          '1',
          values.map((value, index) => [index * 60, value] as const),
        ),
      ]);
      expect(terminal.lines.at(-1)).to.match(/^\{i="1"\}/);
    }
  });

  it('draw no plot where no series of it has two points', async () => {
    const terminal = new RecordingTerminal();
    const single = Array.from({ length: 6 }, (_, index) => series(String(index), [[60, '1']]));
    const behind = series('6', [
      [60, '1'],
      [120, '1'],
    ]);
    await printMatrix(terminal, [...single, behind]);
    expect(terminal.lines[0]).to.match(/^series +points/);
  });

  it('say so when there is nothing', async () => {
    const terminal = new RecordingTerminal();
    await printMatrix(terminal, []);
    await printVector(terminal, []);
    expect(terminal.notes).to.deep.equal(['no samples', 'no samples']);
  });

  it('print an instant answer with the values as they came', async () => {
    const terminal = new RecordingTerminal();
    await printVector(terminal, [{ metric: { i: '1' }, value: [1, '0.13333333333333333'] }]);
    expect(terminal.lines.at(-1)).to.equal('{i="1"}  0.13333333333333333');
  });
});
