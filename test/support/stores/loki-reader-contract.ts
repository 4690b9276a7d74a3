/** What a reader must answer on rows that Loki wrote, from the chunks that they index. */
import { expect } from 'chai';
import { RE2JS } from 're2js';
import type { LabelMatcher } from '../../../src/protocol/matcher.ts';
import type { TimeRangeNs } from '../../../src/protocol/time-range.ts';
import type { IndexedChunk } from '../../../src/storage/index-row.ts';
import type { SchemaIndexReader } from '../../../src/storage/schema-index-reader.ts';
import type { RecordedRows } from './loki-fixtures.ts';

export const rangeMs = (startMs: number, endMs: number): TimeRangeNs => {
  return { startNs: BigInt(startMs) * 1_000_000n, endNs: BigInt(endMs) * 1_000_000n };
};
export const matcher = (name: string, op: LabelMatcher['op'], value: string): LabelMatcher => ({ name, op, value });

export const passesMatcher = (pairs: readonly string[], { name, op, value }: LabelMatcher): boolean => {
  const index = pairs.findIndex((text, at) => at % 2 === 0 && text === name);
  const actual = index < 0 ? '' : (pairs[index + 1] ?? '');
  const isMatch = op.endsWith('~') ? RE2JS.compile(value, RE2JS.DOTALL).testExact(actual) : actual === value;
  return isMatch !== op.startsWith('!');
};

export const withoutMetricName = ({ labels }: IndexedChunk): string[] =>
  labels.pairs.filter((_, index) => labels.pairs[index - (index % 2)] !== '__name__');

export const overlaps = (chunk: IndexedChunk, startMs: number, endMs: number): boolean =>
  chunk.throughMs >= startMs && chunk.fromMs <= endMs;

export const keysOf = async (
  reader: SchemaIndexReader,
  matchers: LabelMatcher[],
  range: TimeRangeNs,
  tenant = 'tenant-a',
) => Array.from(await reader.chunkRefs(tenant, matchers, range), ({ key }) => key).sort();

/** @param open called in the tests */
export const lokiReaderContract = (
  { schema, chunks }: Pick<RecordedRows, 'schema' | 'chunks'>,
  open: () => SchemaIndexReader,
): void => {
  const [startMs, endMs] = [Date.UTC(2023, 3, 1), Date.UTC(2023, 3, 30)];
  const always = rangeMs(startMs, endMs);
  let reader: SchemaIndexReader;
  before(() => {
    reader = open();
  });

  const ofTenant = (tenant: string): IndexedChunk[] => chunks.filter((chunk) => chunk.tenant === tenant);
  const expectedKeys = (matchers: LabelMatcher[], from = startMs, through = endMs): string[] =>
    ofTenant('tenant-a')
      .filter((chunk) => overlaps(chunk, from, through))
      .filter((chunk) => matchers.every((one) => passesMatcher(withoutMetricName(chunk), one)))
      .map(({ key }) => key)
      .sort();

  it('finds every chunk by each of its labels, and no other', async () => {
    for (const chunk of ofTenant('tenant-a')) {
      const pairs = withoutMetricName(chunk);
      for (let index = 0; index < pairs.length; index += 2) {
        const matchers = [matcher(pairs[index] ?? '', '=', pairs[index + 1] ?? '')];
        const keys = await keysOf(reader, matchers, always);
        expect(keys).to.deep.equal(expectedKeys(matchers));
        expect(keys).to.include(chunk.key);
      }
    }
  });

  it('finds all chunks without a matcher, and another tenant none of them', async () => {
    expect(await keysOf(reader, [], always)).to.deep.equal(expectedKeys([]));
    expect(await keysOf(reader, [], always, 'tenant-b')).to.deep.equal(ofTenant('tenant-b').map(({ key }) => key));
    expect(await keysOf(reader, [], always, 'tenant')).to.deep.equal([]);
  });

  it('decides every kind of matcher', async () => {
    for (const matchers of [
      [matcher('app', '=~', '.+')],
      [matcher('app', '=~', '.*o.*'), matcher('env', '!=', 'dev')],
      [matcher('app', '!~', 'c.*')],
      [matcher('codec', '=', '')],
      [matcher('codec', '!=', ''), matcher('codec', '!~', 'lz4.*')],
      [matcher('codec', '=~', 'gzip|snappy|zstd|')],
      [matcher('missing', '=', 'x')],
      [matcher('missing', '!=', 'x'), matcher('app', '=~', '(web|codecs|across)')],
    ]) {
      expect(await keysOf(reader, matchers, always), JSON.stringify(matchers)).to.deep.equal(expectedKeys(matchers));
    }
  });

  it('finds the chunks of any stretch of time, its ends included', async () => {
    const edges = [
      ...new Set(chunks.flatMap(({ fromMs, throughMs }) => [fromMs - 1, fromMs, throughMs, throughMs + 1])),
    ];
    for (const edge of edges) {
      expect(await keysOf(reader, [], rangeMs(edge, edge))).to.deep.equal(expectedKeys([], edge, edge));
      expect(await keysOf(reader, [], rangeMs(edge, endMs))).to.deep.equal(expectedKeys([], edge, endMs));
    }
  });

  it('lists values of labels', async () => {
    const valuesOf = new Map<string, Set<string>>();
    for (const chunk of ofTenant('tenant-a')) {
      const pairs = withoutMetricName(chunk);
      for (let index = 0; index < pairs.length; index += 2) {
        const name = pairs[index] ?? '';
        valuesOf.set(name, (valuesOf.get(name) ?? new Set()).add(pairs[index + 1] ?? ''));
      }
    }
    expect(valuesOf.has('app')).to.equal(true);
    for (const [name, values] of valuesOf) {
      expect(new Set(await reader.labelValues('tenant-a', name, [], always)), name).to.deep.equal(values);
    }
    expect(await reader.labelValues('tenant-a', 'missing', [], always)).to.deep.equal([]);
  });

  it('rebuilds the labels of series, but for v9 and v10', async () => {
    const found = await reader.series('tenant-a', [matcher('app', '=~', '.+')], always);
    const expected = new Set(ofTenant('tenant-a').map((chunk) => JSON.stringify(withoutMetricName(chunk))));
    if (schema[0].schema === 'v9' || schema[0].schema === 'v10') {
      expect(found).to.have.length(expected.size);
      expect(new Set(found.map(({ labels }) => labels))).to.deep.equal(new Set([undefined]));
      expect(await reader.labelNames('tenant-a', [], always)).to.deep.equal([]);
      return;
    }
    expect(found.map(({ labels }) => JSON.stringify(labels)).sort()).to.deep.equal([...expected].sort());
    const names = new Set(found.flatMap(({ labels }) => (labels ?? []).filter((_, at) => at % 2 === 0)));
    expect([...(await reader.labelNames('tenant-a', [], always))].sort()).to.deep.equal([...names].sort());
  });
};
