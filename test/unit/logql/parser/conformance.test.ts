import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { Expr, Stage } from '../../../../src/logql/ast.ts';
import { parseExpr, parseLogExpr, parseMatchers } from '../../../../src/logql/parser.ts';
import { printExpr, printStage } from '../../../../src/logql/print.ts';
import { refusalOf } from './refusal-of.ts';

const kit = path.join(import.meta.dirname, '../../../conformance');

interface Case {
  readonly id: string;
  readonly kind: string;
  readonly query?: string;
  readonly padQueryTo?: number;
  readonly match?: readonly string[];
  readonly params?: { readonly query?: string };
}

interface Answer {
  readonly t: string;
  readonly text?: string;
  readonly r?: unknown;
}

/** What Loki evaluates and this parser refuses on purpose. */
const UNSUPPORTED = new Map([['syntax-errors-067', 'variants: an experiment of Loki 3.5 to 3.7, removed since']]);

/** What Loki prints otherwise, for format_query alone. */
const PRINTED_OTHERWISE = new Map([
  ['format-query-009', 'Loki rounds byte literals to two digits: 5KiB becomes 5.1kB'],
  ['format-query-030', 'Loki omits () after group_right, so that its own text does not parse again'],
  ['format-query-042', 'longer than 100 characters: Loki breaks the line'],
  ['format-query-043', 'longer than 100 characters: Loki breaks the line'],
  ['format-query-049', 'longer than 100 characters: Loki breaks the line'],
]);

const cases: readonly Case[] = JSON.parse(readFileSync(path.join(kit, 'queries.json'), 'utf8'));
const { answers }: { answers: Readonly<Record<string, Answer>> } = JSON.parse(
  gunzipSync(readFileSync(path.join(kit, 'expected.json.gz'))).toString('utf8'),
);

const textsOf = ({ query, match, params, padQueryTo = 0 }: Case): readonly string[] =>
  [query ?? params?.query ?? match ?? []].flat().map((text) => text.padEnd(padQueryTo));

/** Each endpoint asks for its own part of the language. */
const parse = (kind: string, text: string): void => {
  if (kind === 'detected_fields') parseLogExpr(text);
  else if (kind === 'stats') parseMatchers(text);
  else if (['labels', 'values', 'series', 'volume', 'volume_range'].includes(kind)) {
    parseMatchers(text, { mayBeUnselective: true });
  } else parseExpr(text);
};

const errorTextOf = (answer: Answer | undefined): string => {
  if (answer?.t !== 'error' || answer.text === undefined) return '';
  return answer.text.startsWith('{') ? JSON.parse(answer.text).error : answer.text;
};

const isParseError = (text: string): boolean =>
  text.startsWith('parse error') || /^only (?:label matchers are|log selector is) supported$/.test(text);

/** Raised when the stages are built, from the text the parser prints for a stage. */
const STAGE_ERROR = /^parse error : stage '(.*)' : /s;

const queries = cases.flatMap((c) =>
  textsOf(c).map((text) => ({
    id: c.id,
    kind: c.kind,
    text,
    answer: answers[c.id],
    error: errorTextOf(answers[c.id]),
  })),
);
const refused = queries.filter(({ error }) => isParseError(error) && !STAGE_ERROR.test(error));
const refusedByStages = queries.filter(({ error }) => STAGE_ERROR.test(error));
const parsable = queries.filter(
  ({ id, error }) => (!isParseError(error) || STAGE_ERROR.test(error)) && !UNSUPPORTED.has(id),
);

const stagesOf = (expr: Expr): readonly Stage[] => {
  switch (expr.kind) {
    case 'log':
      return expr.stages;
    case 'rangeAggregation':
      return expr.range.log.stages;
    case 'vectorAggregation':
    case 'labelReplace':
      return stagesOf(expr.inner);
    case 'binary':
      return [...stagesOf(expr.left), ...stagesOf(expr.right)];
    default:
      return [];
  }
};

describe('the LogQL parser and the recorded answers of Loki 3.7.6', () => {
  it(`refuses what Loki refused (${refused.length} queries), with the same text`, () => {
    const differing = refused
      .map(({ id, kind, text, error }) => ({
        id,
        text,
        loki: error,
        ours: refusalOf(() => parse(kind, text))?.text.trimEnd(),
      }))
      .filter(({ loki, ours }) => ours !== loki);
    expect(refused).to.have.lengthOf.above(400);
    expect(differing).to.deep.equal([]);
  });

  it(`parses what Loki took (${parsable.length} queries), and what it prints of it parses to the same tree`, () => {
    expect(parsable).to.have.lengthOf.above(2000);
    for (const { id, kind, text } of parsable) {
      expect(
        refusalOf(() => parse(kind, text)),
        `${id}: ${text}`,
      ).to.equal(undefined);
      if (kind === 'volume' || kind === 'series') continue;
      const expr = parseExpr(text);
      expect(parseExpr(printExpr(expr)), `${id}: ${text}`).to.deep.equal(expr);
    }
  });

  it(`prints stages as Loki quotes them in the errors of building them (${refusedByStages.length} queries)`, () => {
    expect(refusedByStages).to.have.lengthOf.above(50);
    for (const { id, text, error } of refusedByStages) {
      expect(stagesOf(parseExpr(text)).map(printStage), `${id}: ${text}`).to.include(STAGE_ERROR.exec(error)?.[1]);
    }
  });

  it('prints queries as Loki formats them, where that is one line and loses nothing', () => {
    const formatted = queries.filter(
      ({ id, kind, answer }) => kind === 'format' && answer?.t === 'text' && !PRINTED_OTHERWISE.has(id),
    );
    expect(formatted).to.have.lengthOf.above(40);
    for (const { id, text, answer } of formatted) expect(printExpr(parseExpr(text)), id).to.equal(answer?.r);
  });

  it('names what it does not evaluate', () => {
    for (const id of UNSUPPORTED.keys()) {
      const [text = ''] = cases.filter((c) => c.id === id).flatMap(textsOf);
      expect(refusalOf(() => parseExpr(text))).to.deep.equal({
        code: 'UNSUPPORTED_QUERY',
        text: 'variants are not supported',
      });
    }
  });
});
