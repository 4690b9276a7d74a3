import { expect } from 'chai';
import type { QueryResult } from '../../../src/query/query-messages.ts';
import { answerOf } from './query-answers.ts';
import { at, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf } from './test-sources.ts';

const SECOND = 1_000_000_000;
const LINES = 60;

/** Two streams with a block in the store each, and one in memory that overlaps; every third line is an error. */
const sources = () =>
  sourcesOf(
    ['one', 'two'].map((app) => {
      const entries = Array.from({ length: LINES }, (_, index) => {
        const level = index % 3 === 0 ? 'error' : 'info';
        return at(index * SECOND, `{"level":"${level}","took":${index},"app_name":"${app}"}`);
      });
      return {
        labels: { app },
        stored: [segmentOf([entries.slice(0, 40)])],
        memory: [segmentOf([entries.slice(30)], { counter: 1 })],
      };
    }),
  );

const start = at(LINES * SECOND, '').timeNs;
const ask = (query: string): Promise<QueryResult> =>
  answerOf(requestOf(query, { isInstant: true, startNs: start, endNs: start }), sources());

const seriesOf = async (query: string) => {
  const result = await ask(query);
  if (result.type !== 'vector') throw new Error(`a ${result.type}`);
  return new Map(result.series.map(({ labels, values }) => [labels.join(), values[0]!]));
};

const ERRORS = 'sum by (app) (count_over_time({app=~".+"} |= "error" [10m]))';
const ALL = 'sum by (app) (count_over_time({app=~".+"}[10m]))';
const TOOK = 'sum by (app) (sum_over_time({app=~".+"} | json | unwrap took [10m]))';

describe('range aggregations over the same entries', () => {
  for (const [left, right] of [
    [ERRORS, ALL],
    [ALL, ERRORS],
    [TOOK, ALL],
    [`max by (app) (${ERRORS})`, `${TOOK} * 2`],
  ] as const) {
    it(`give what they give apart: ${left} / ${right}`, async () => {
      const [one, other] = [await seriesOf(left), await seriesOf(right)];
      const ratio = await seriesOf(`(${left}) / (${right})`);
      expect([...ratio.keys()].sort()).to.deep.equal(['app,one', 'app,two']);
      for (const [labels, value] of ratio) expect(value).to.equal(one.get(labels)! / other.get(labels)!);
    });
  }

  it('inflate each block once', async () => {
    const { statistics: alone } = await ask(ALL);
    const { statistics: together } = await ask(`${ERRORS} / ${ALL}`);
    expect(alone.decompressedLines).to.equal(2 * (40 + 30));
    expect(together.decompressedLines).to.equal(alone.decompressedLines);
    expect(together.chunksDownloaded).to.equal(2);
  });

  it('read apart what is of other times or streams', async () => {
    const { statistics: alone } = await ask(ALL);
    for (const other of [`${ALL.replace('10m', '9m')}`, `${ALL.replace('[10m]', '[10m] offset 1s')}`]) {
      const { statistics } = await ask(`${ERRORS} / ${other}`);
      expect(statistics.decompressedLines).to.equal(2 * alone.decompressedLines);
    }
    const { statistics } = await ask(`${ERRORS} / ${ALL.replace('app=~".+"', 'app="one"')}`);
    expect(statistics.decompressedLines).to.equal(1.5 * alone.decompressedLines);
  });

  it('fail for an error of any of them', async () => {
    const broken = 'sum by (app) (sum_over_time({app=~".+"} | json | unwrap level [10m]))';
    for (const query of [`${ALL} / ${broken}`, `${broken} / ${ALL}`]) {
      let text = '';
      await ask(query).catch((error: Error) => {
        text = error.message;
      });
      expect(text).to.match(/pipeline error: 'SampleExtractionErr'/);
    }
  });
});
