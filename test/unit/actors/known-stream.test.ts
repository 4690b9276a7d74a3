import { expect } from 'chai';
import { KnownStream } from '../../../src/actors/known-stream.ts';
import { KnownStreams } from '../../../src/actors/known-streams.ts';
import { StreamCell } from '../../../src/actors/stream-cell.ts';
import { TenantStreams } from '../../../src/actors/tenant-streams.ts';
import type { LevelDiscovery } from '../../../src/protocol/level-discovery.ts';
import { DEFAULT_LIMITS } from '../../../src/protocol/limits.ts';
import { labelsOf } from '../../support/entries.ts';

const TEXT = '{app="web", level="warn"}';
const NO_NAMES: readonly string[] = [];

describe('a stream whose labels are known', () => {
  const router = { keyOf: (tenant: string, canonical: string) => (tenant === 'high' ? 0xfffffffe : canonical.length) };
  const known = () => new KnownStream(TEXT, NO_NAMES, labelsOf(TEXT));
  const cellOf = () => new StreamCell(new TenantStreams('tenant'), labelsOf(TEXT), 0);

  it('has the labels of its cell, and its own again where that has closed', () => {
    const stream = known();
    const cell = cellOf();
    stream.cell = cell;
    expect(stream.labels).to.equal(cell.labels);
    cell.isClosed = true;
    expect(stream.cell).to.equal(undefined);
    expect(stream.labels).to.deep.equal(labelsOf(TEXT));
  });

  it('keeps its labels while its entries go to another node only with a cell', () => {
    const stream = known();
    const first = stream.labels;
    expect(stream.labels, 'not read anew').to.equal(first);
    stream.goneAway();
    expect(stream.labels).to.not.equal(first);
    expect(stream.labels).to.deep.equal(first);
    const cell = cellOf();
    stream.cell = cell;
    stream.goneAway();
    expect(stream.cell).to.equal(cell);
  });

  it('has its labels read from text that is longer than what may be pushed', () => {
    const long = `{app="${'\\n'.repeat(1 << 20)}"}`;
    expect(new KnownStream(long, NO_NAMES).labels.pairs[1]).to.equal('\n'.repeat(1 << 20));
  });

  it('has its place on the ring, above 2^31 too', () => {
    expect(known().keyOn(router, 'low')).to.equal(TEXT.length);
    expect(known().keyOn(router, 'high')).to.equal(0xfffffffe);
  });

  it('is refused for its labels by the limits at hand, whatever those before said', () => {
    const stream = known();
    const strict = { ...DEFAULT_LIMITS, maxLabelNamesPerSeries: 1 };
    for (const round of [1, 2]) {
      expect(stream.refusal(DEFAULT_LIMITS, 't'), `round ${round}`).to.equal(undefined);
      expect(stream.refusal(strict, 't')?.text).to.equal(`entry for stream '${TEXT}' has 2 label names; limit 1`);
    }
  });

  it('shares what finds levels with streams whose labels name the same one', () => {
    const levelsOf = (text: string, limits = DEFAULT_LIMITS) => {
      const stream = new KnownStream(text, NO_NAMES);
      expect(stream.refusal(limits, 't')).to.equal(undefined);
      return stream.levels as LevelDiscovery;
    };
    const warn = levelsOf(TEXT);
    expect(levelsOf('{app="db", level="warn"}')).to.equal(warn);
    expect(levelsOf('{app="db", level="error"}')).to.not.equal(warn);
    expect(levelsOf('{app="db"}')).to.not.equal(warn);
    expect(levelsOf(TEXT, { ...DEFAULT_LIMITS, logLevelFields: ['app'] })).to.not.equal(warn);
    expect(levelsOf('{app="db", level="audit"}').oddPair).to.deep.equal(['detected_level', 'audit']);
  });

  it('is another one for another tenant', () => {
    const streams = new KnownStreams(1 << 20);
    const of = (tenant: string, names = NO_NAMES) => streams.of(tenant, Buffer.from('{ app="web" }'), names);
    expect(of('a')).to.equal(of('a'));
    expect(of('a')).to.not.equal(of('b'));
    expect(of('a').canonical).to.equal('{app="web"}');
    expect(of('a', ['app']).canonical, 'the list has changed').to.equal('{app="web", service_name="web"}');
  });
});
