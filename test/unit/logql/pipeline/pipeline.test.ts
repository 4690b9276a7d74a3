import { expect } from 'chai';
import fc from 'fast-check';
import { compilePipeline } from '../../../../src/logql/compile-pipeline.ts';
import { ALL_LABELS } from '../../../../src/logql/hints.ts';
import type { Pipeline } from '../../../../src/logql/pipeline.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../../support/property-runs.ts';
import { labelsAfter, labelsOf, lineAfter, processLine, stagesOf, startRun } from './run-pipeline.ts';

const compile = (tail: string): Pipeline => compilePipeline(stagesOf(tail), { hints: ALL_LABELS });

const literals = (tail: string): readonly (readonly string[])[] =>
  compile(tail).requiredLiterals.map(({ anyOf }) => anyOf.map((literal) => Buffer.from(literal).toString()));

describe('what a pipeline says about raw lines', () => {
  it('names the literals of filters that see the raw line, longest first', () => {
    expect(literals('|= "ab" |= "abcd" |~ "x+yz\\\\d"')).to.deep.equal([['abcd'], ['ab'], ['yz']]);
    expect(literals('| json | a="1" |= "needle"')).to.deep.equal([['needle']]);
    expect(literals('|= "a" or "bc"')).to.deep.equal([['a', 'bc']]);
    expect(literals('|> "<_> level=error <_>"')).to.deep.equal([[' level=error ']]);
    expect(literals('| line_format "x" |= "needle"')).to.deep.equal([]);
    expect(literals('|= "first" | decolorize |= "needle"')).to.deep.equal([['first']]);
    expect(literals('!= "a" !~ "b" |= ""')).to.deep.equal([]);
    expect(literals('|= "a" or ip("10.0.0.1")')).to.deep.equal([]);
  });

  it('says when the literals decide', () => {
    for (const tail of ['', '|= "a"', '|= "a" |= "b"', '|~ "a"', '|= "" |= "a"']) {
      expect(compile(tail).isDecidedByLiterals, tail).to.equal(true);
    }
    for (const tail of ['|= "a" or "b"', '|= "a" != "b"', '|~ "a.c"', '|= "a" | json', '|= "a" | a="b"']) {
      expect(compile(tail).isDecidedByLiterals, tail).to.equal(false);
    }
  });

  it('says what stages can change', () => {
    const changes = (tail: string): string => {
      const { changesLabels, changesLine } = compile(tail);
      return `${changesLabels ? 'labels' : ''} ${changesLine ? 'line' : ''}`.trim();
    };
    expect(changes('|= "a" | app="a"')).to.equal('');
    expect(changes('| json')).to.equal('labels');
    expect(changes('| app > 1')).to.equal('labels');
    expect(changes('| decolorize')).to.equal('line');
    expect(changes('| line_format "x"')).to.equal('labels line');
  });

  it('never loses a line to its literals', () => {
    const word = fc.constantFrom('a', 'b', 'ab', 'ba', 'x y');
    const filter = fc.oneof(
      word.map((text) => `|= "${text}"`),
      fc.tuple(word, word).map(([left, right]) => `|= "${left}" or "${right}"`),
      word.map((text) => `|~ "${text}+|${text}x"`),
      word.map((text) => `|> "<_>${text}<_>"`),
      word.map((text) => `!= "${text}${text}"`),
      fc.constant('| logfmt'),
    );
    const tail = fc.array(filter, { maxLength: 4 }).map((parts) => parts.join(' '));
    const line = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'x', 'y', '='), maxLength: 12 });
    fc.assert(
      fc.property(tail, line, (stages, text) => {
        const pipeline = compile(stages);
        const hasAll = pipeline.requiredLiterals.every(({ anyOf }) =>
          anyOf.some((literal) => text.includes(Buffer.from(literal).toString())),
        );
        const isKept = lineAfter(stages, text) !== undefined;
        if (isKept) expect(hasAll).to.equal(true);
        if (pipeline.isDecidedByLiterals) expect(isKept).to.equal(hasAll);
      }),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});

describe('stages run in written order', () => {
  it('where Loki 3.7 tries label filters too early', () => {
    expect(labelsAfter('| json | label_format a="z" | a="z"', '{"a":"x"}')).to.deep.equal({ a: 'z' });
    expect(labelsAfter('| json | drop a | a=""', '{"a":"x"}')).to.deep.equal({});
    expect(labelsAfter('| a="" | json', '{"a":"x"}')).to.deep.equal({ a: 'x' });
  });

  it('and a line filter behind line_format sees the new line', () => {
    expect(lineAfter('| line_format "bar" |= "foo"', 'foo')).to.equal(undefined);
    expect(lineAfter('| logfmt | line_format "{{.x}}" |= "y"', 'x=y')).to.equal('y');
  });

  it('and the first parsed value of a name stays', () => {
    expect(labelsAfter('| json | line_format "{{.m}}" | logfmt', '{"a":"x","m":"a=y"}')).to.include({ a: 'x' });
    expect(labelsAfter('| label_format a="first" | json', '{"a":"x"}')).to.deep.equal({ a: 'first' });
  });
});

describe('labels after a pipeline', () => {
  const stream = { app: 'a', k: 'st' };
  const metadata = { trace: 'abc', k: 'meta', t: 'm' };

  it('are those of the stream, the same array, while nothing changed', () => {
    const run = startRun('| app="a"', { stream });
    processLine(run, 'x');
    expect(run.finalLabels()).to.equal(run.finalLabels());
    expect(labelsOf(run.finalLabels())).to.deep.equal(stream);
    expect(run.labelsKey()).to.equal('');
  });

  it('tell apart stream, metadata and parsed', () => {
    const run = startRun('| logfmt', { stream });
    processLine(run, 'k=p t=1 z=9', { metadata });
    expect(run.categorized()).to.deep.equal({
      stream: ['app', 'a', 'k', 'st'],
      metadata: ['t', 'm', 'trace', 'abc'],
      parsed: ['k_extracted', 'p', 't_extracted', '1', 'z', '9'],
    });
  });

  it('count errors as parsed', () => {
    const run = startRun('| json', { stream });
    processLine(run, 'bad');
    expect(run.categorized().parsed.slice(0, 2)).to.deep.equal(['__error__', 'JSONParserErr']);
    expect(run.get('__error__')).to.equal('JSONParserErr');
    expect(run.error).to.equal('JSONParserErr');
  });

  it('read metadata as labels', () => {
    expect(labelsAfter('| trace="abc"', 'x', { stream, metadata })).to.deep.equal({
      trace: 'abc',
      k_extracted: 'meta',
      t: 'm',
    });
    expect(labelsAfter('| label_format n=trace', 'x', { stream, metadata })).to.deep.equal({
      n: 'abc',
      k_extracted: 'meta',
      t: 'm',
    });
    expect(labelsAfter('| k="meta"', 'x', { stream, metadata })).to.equal(undefined);
  });

  it('know empty from missing', () => {
    const run = startRun('| label_format z="{{.nope}}"', { stream });
    processLine(run, 'x');
    expect([run.get('z'), run.has('z'), run.get('y'), run.has('y')]).to.deep.equal(['', true, '', false]);
  });

  it('do not leak from one line to the next', () => {
    const run = startRun('| logfmt', { stream });
    processLine(run, 'a=1 b=2', { metadata });
    processLine(run, 'c=3');
    expect(labelsOf(run.finalLabels())).to.deep.equal({ ...stream, c: '3' });
  });

  it('have equal keys exactly if they are equal', () => {
    const value = fc.constantFrom('', '1', '2', 'a', '1,b=1:1');
    const name = fc.constantFrom('a', 'b', 'c', 'app');
    const pair = fc.tuple(name, value).map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
    const line = fc.array(pair, { maxLength: 4 }).map((pairs) => `{${pairs.join(',')}}`);
    const run = startRun('| json | drop c="2" | label_format app="{{.a}}", b=b', { stream });
    const describeLine = (text: string): readonly [key: string, labels: string] => {
      processLine(run, text);
      return [run.labelsKey(), JSON.stringify(run.finalLabels())];
    };
    fc.assert(
      fc.property(line, line, (left, right) => {
        const [leftKey, leftLabels] = describeLine(left);
        const [rightKey, rightLabels] = describeLine(right);
        expect(leftKey === rightKey).to.equal(leftLabels === rightLabels);
      }),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
