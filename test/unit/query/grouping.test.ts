import { expect } from 'chai';
import fc from 'fast-check';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';
import { answerOf } from './query-answers.ts';
import { at, segmentOf } from './test-blocks.ts';
import { requestOf, sourcesOf } from './test-sources.ts';

/** Missing, empty, plain, escaped, a number, and what the streams have themselves. */
const value = fc.constantFrom(undefined, '', 'a', 'b', 'a"b', 'ä', 7, 12.5, 'stream');
const line = fc.record({ x: value, y: value, z: value });
/** Of an entry: a name that nobody asks for, or one of those that lines and streams have too. */
const metadata = fc.constantFrom(undefined, ['detected_level', 'info'], ['x', 'of metadata'], ['z', 'a']);
type Line = Readonly<Record<string, string | number | undefined>>;

/** The stream's own label wins: the line's becomes `…_extracted`. */
const LABELS = [{ app: 'a' }, { app: 'a', x: 'stream' }, { app: 'a', y: 'b' }] as const;

const textOf = (fields: Line): string => JSON.stringify(fields);

describe('grouping by several labels of lines', () => {
  it('counts as adding up the labels of each line does', async function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const streams = fc.array(fc.array(fc.tuple(line, metadata), { minLength: 1, maxLength: 30 }), {
      minLength: 3,
      maxLength: 3,
    });
    const groups = fc.subarray(['x', 'y', 'z', 'app'], { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(streams, groups, async (lists, names) => {
        const wanted = new Map<string, number>();
        for (const [index, lines] of lists.entries()) {
          const own: Readonly<Record<string, string>> = LABELS[index]!;
          for (const [fields, [named, text] = []] of lines as readonly (readonly [Line, string[] | undefined])[]) {
            const labels = names.flatMap((name) => {
              const found = own[name] ?? (named === name ? text : fields[name]);
              return found === undefined ? [] : [[name, String(found)]];
            });
            const key = JSON.stringify(Object.fromEntries(labels.sort()));
            wanted.set(key, (wanted.get(key) ?? 0) + 1);
          }
        }
        const sources = sourcesOf(
          lists.map((lines, index) => ({
            labels: LABELS[index]!,
            memory: [segmentOf([lines.map(([fields, pairs], place) => at(place, textOf(fields), pairs))])],
          })),
        );
        const query = `sum by (${names.join(',')}) (count_over_time({app="a"} | json [1s]))`;
        const endNs = at(0, '').timeNs + 1000n;
        const result = await answerOf(requestOf(query, { isInstant: true, startNs: endNs, endNs }), sources);
        if (result.type !== 'vector') throw new Error(`a ${result.type}`);
        const counted = new Map(
          result.series.map(({ labels, values }) => {
            const pairs: [string, string][] = [];
            for (let place = 0; place < labels.length; place += 2) pairs.push([labels[place]!, labels[place + 1]!]);
            return [JSON.stringify(Object.fromEntries(pairs)), values[0]];
          }),
        );
        expect(Object.fromEntries(counted)).to.deep.equal(Object.fromEntries(wanted));
      }),
      { numRuns: propertyRuns(50) },
    );
  });
});
