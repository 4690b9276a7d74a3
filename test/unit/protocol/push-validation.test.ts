import { expect } from 'chai';
import { type Discard, refusalOf } from '../../../src/protocol/discards.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { DEFAULT_LIMITS, type Limits } from '../../../src/protocol/limits.ts';
import { encodePushRequest, type PushedEntry } from '../../../src/protocol/logproto.ts';
import { decodePushRequest } from '../../../src/protocol/push-decoder.ts';
import { lineBytesOf, validateStream } from '../../../src/protocol/push-validation.ts';
import { entriesOf } from './pushes.ts';

const NOW_MS = 1_700_000_000_000;
const NOW_NS = BigInt(NOW_MS) * 1_000_000n;
const HOUR_NS = 3_600_000_000_000n;
const LABELS = labelSetOf(['app', 'web']);

const entry = (agoNs: bigint, line = 'x', metadata: readonly string[] = []): PushedEntry => ({
  timeNs: NOW_NS - agoNs,
  line,
  metadata,
});

/** Validates a stream with another before and after it in the same columns. */
const validate = (entries: readonly PushedEntry[], limits: Partial<Limits> = {}, labels = LABELS) => {
  const other = { labels: '{}', entries: [entry(0n, 'other', ['other', '1'])] };
  const streams = decodePushRequest(encodePushRequest({ streams: [other, { labels: '{}', entries }, other] }));
  const validated = validateStream(streams[1]!, labels, { ...DEFAULT_LIMITS, ...limits }, NOW_MS);
  for (const index of [0, 2]) {
    expect(entriesOf(streams[index]!)[0]?.metadata, 'neighbours are left alone').to.deep.equal(['other', '1']);
  }
  return { ...validated, lines: entriesOf(validated).map(({ line }) => Buffer.from(line).toString()) };
};
const brief = (discards: readonly Discard[]) =>
  discards.map(({ reason, errors, lines, bytes }) => [reason, errors, lines, bytes]);

describe('validateStream', () => {
  it('passes good entries on untouched, and counts their bytes', () => {
    const validated = validate([entry(0n, 'one'), entry(1n, 'three', ['a', '12'])]);
    expect(validated.lines).to.deep.equal(['one', 'three']);
    expect([validated.lineBytes, validated.metadataBytes, validated.discards]).to.deep.equal([8, 3, []]);
    expect(lineBytesOf(validated)).to.equal(8);
  });

  it('closes up what is left when entries are refused, metadata with its entry', () => {
    const old = (line: string) => entry(200n * HOUR_NS, line, ['lost', line]);
    const validated = validate([
      old('a'),
      entry(3n, 'b', ['kept', 'b']),
      old('c'),
      entry(2n, 'd'),
      entry(1n, 'e', ['kept', 'e']),
    ]);
    expect(entriesOf(validated)).to.deep.equal([
      { timeNs: NOW_NS - 3n, line: Uint8Array.from(Buffer.from('b')), metadata: ['kept', 'b'] },
      { timeNs: NOW_NS - 2n, line: Uint8Array.from(Buffer.from('d')) },
      { timeNs: NOW_NS - 1n, line: Uint8Array.from(Buffer.from('e')), metadata: ['kept', 'e'] },
    ]);
    expect(brief(validated.discards)).to.deep.equal([['greater_than_max_sample_age', 2, 2, 2]]);
  });

  it('does not give the metadata of a refused long line to the entry that takes its place', () => {
    const validated = validate([entry(0n, 'xxxxx', ['a', '1']), entry(0n, 'y')], { maxLineBytes: 4 });
    expect(entriesOf(validated).map(({ metadata }) => metadata)).to.deep.equal([undefined]);
  });

  it('accepts times up to the bounds, both included', () => {
    const limits = { rejectOldSamplesMaxAgeMs: 1000, creationGracePeriodMs: 500 };
    const [oldest, newest] = [1_000_000_000n, -500_000_000n];
    const validated = validate(
      [entry(oldest, 'a'), entry(newest, 'b'), entry(oldest + 1n, 'c'), entry(newest - 1n, 'd')],
      limits,
    );
    expect(validated.lines).to.deep.equal(['a', 'b']);
    expect(validated.discards.map(({ text }) => text)).to.deep.equal([
      'entry for stream \'{app="web"}\' has timestamp too old: 2023-11-14T22:13:18Z, oldest acceptable timestamp is: 2023-11-14T22:13:19Z',
      'entry for stream \'{app="web"}\' has timestamp too new: 2023-11-14T22:13:20Z',
    ]);
  });

  it('accepts times of any age when old samples are not rejected', () => {
    expect(validate([{ timeNs: -(2n ** 63n), line: 'a' }], { rejectOldSamples: false }).lines).to.deep.equal(['a']);
  });

  it('checks the age before the size, and the size before the metadata', () => {
    const limits = { maxLineBytes: 2, allowStructuredMetadata: false };
    const validated = validate(
      [entry(200n * HOUR_NS, 'xxx', ['a', '1']), entry(0n, 'xxx', ['a', '1']), entry(0n, 'x', ['a', '1'])],
      limits,
    );
    expect(validated.discards.map(({ reason }) => reason)).to.deep.equal([
      'greater_than_max_sample_age',
      'line_too_long',
      'disallowed_structured_metadata',
    ]);
  });

  it('cuts long lines to the limit when asked to, with the identifier inside it', () => {
    const long = 'y'.repeat(300);
    const cut = { maxLineBytes: 100, maxLineSizeTruncate: true, maxLineSizeTruncateIdentifier: '...' };
    const validated = validate([entry(0n, long), entry(0n, 'short')], cut);
    expect(validated.lines).to.deep.equal([`${'y'.repeat(97)}...`, 'short']);
    expect([validated.lineBytes, validated.cutLines, validated.cutBytes, validated.discards]).to.deep.equal([
      105,
      1,
      200,
      [],
    ]);
  });

  it('moves entries of equal time and different lines apart by 1 ns when asked to', () => {
    const entries = ['one', 'two', 'three', 'three'].map((line) => entry(0n, line));
    const validated = validate([...entries, entry(-9n, 'later')], { incrementDuplicateTimestamp: true });
    expect(entriesOf(validated).map(({ timeNs }) => timeNs - NOW_NS)).to.deep.equal([0n, 1n, 2n, 0n, 9n]);
  });

  it('keeps a handful of texts of many errors that are alike, and counts them all', () => {
    const entries = Array.from({ length: 5000 }, (_, index) => entry(200n * HOUR_NS + BigInt(index) * 1_000_000_000n));
    const { discards } = validate(entries);
    expect(discards.length).to.equal(10);
    expect(discards.reduce((sum, { lines }) => sum + lines, 0)).to.equal(5000);
  });

  describe('refuses the whole stream', () => {
    const refused: readonly (readonly [string, readonly string[], Partial<Limits>, string, string])[] = [
      ['without labels', [], {}, 'missing_labels', 'error at least one label pair is required per stream'],
      [
        'with too many labels, service_name not counted',
        ['a', '1', 'b', '2', 'service_name', 'x', 'z', '3'],
        { maxLabelNamesPerSeries: 2 },
        'max_label_names_per_series',
        'entry for stream \'{a="1", b="2", service_name="x", z="3"}\' has 3 label names; limit 2',
      ],
      [
        'with a long name',
        ['abc', '1'],
        { maxLabelNameBytes: 2 },
        'label_name_too_long',
        "stream '{abc=\"1\"}' has label name too long: 'abc'",
      ],
      [
        'with a long value, in bytes',
        ['a', 'üü'],
        { maxLabelValueBytes: 3 },
        'label_value_too_long',
        "stream '{a=\"üü\"}' has label value too long: 'üü'",
      ],
      [
        'with a name twice',
        ['a', '1', 'a', '2'],
        {},
        'duplicate_label_names',
        'stream \'{a="1", a="2"}\' has duplicate label name: \'a\'',
      ],
      [
        'without a label that it must have',
        ['a', '1'],
        { enforcedLabels: ['b', 'a', 'c'], blockIngestionUntilMs: NOW_MS + 1 },
        'missing_enforced_labels',
        "missing required labels 'b,c' for user '' for stream '{a=\"1\"}' (policy: '')",
      ],
    ];
    for (const [name, pairs, limits, reason, text] of refused) {
      it(name, () => {
        const validated = validate([entry(0n, 'one'), entry(0n, 'two')], limits, labelSetOf(pairs));
        expect(validated.lines).to.deep.equal([]);
        expect(validated.discards).to.deep.equal([{ reason, text, errors: 1, lines: 2, bytes: 6 }]);
      });
    }

    it('of a tenant that is blocked, which is no error of the stream', () => {
      const until = { blockIngestionUntilMs: Date.UTC(2030, 0, 2, 3, 4, 5, 6), blockIngestionStatusCode: 299 };
      const { lines, discards } = validate([entry(0n, 'one'), entry(0n, 'two')], until);
      const text = "ingestion blocked for user '' until '2030-01-02T03:04:05Z' with status code '299'";
      expect(lines).to.deep.equal([]);
      expect(discards).to.deep.equal([{ reason: 'blocked_ingestion', text, errors: 0, lines: 2, bytes: 6 }]);
      expect(refusalOf(discards)).to.equal(undefined);
      expect(validate([entry(0n, 'one')], { blockIngestionUntilMs: NOW_MS }).lines).to.deep.equal(['one']);
    });

    it('but not what Loki makes for itself', () => {
      const limits = { enforcedLabels: ['app'] };
      expect(validate([entry(0n)], limits, labelSetOf(['__pattern__', 'x'])).discards).to.deep.equal([]);
    });

    it('but says nothing of one without entries', () => {
      expect(validate([], {}, labelSetOf([])).discards).to.deep.equal([]);
    });
  });
});

describe('the refusal of a push', () => {
  const discard = (text: string, errors: number): Discard => ({
    reason: 'line_too_long',
    text,
    errors,
    lines: 1,
    bytes: 1,
  });

  it('is nothing when nothing was discarded', () => expect(refusalOf([])).to.equal(undefined));

  it('is the text of a single error', () => {
    expect(refusalOf([discard('a', 1)])).to.deep.equal({ code: 'INVALID_ENTRIES', text: 'a' });
  });

  it('counts equal texts, and joins different ones', () => {
    expect(refusalOf([discard('a', 1), discard('a', 1)])?.text).to.equal('2 errors like: a');
    expect(refusalOf([discard('a', 1), discard('b', 3)])?.text).to.equal('1 errors like: a; 3 errors like: b');
  });

  it('has an end, however much was discarded', () => {
    const many = Array.from({ length: 5000 }, (_, index) => discard(`${index} ${'x'.repeat(1000)}`, 2));
    const text = refusalOf(many)?.text ?? '';
    expect(text.length).to.be.below(70_000);
    expect(text).to.match(/; \d+ more errors$/);
  });
});
