/** Cases of the conformance kit that ringlog answers otherwise on purpose. docs/compatibility.md tells the same to users. */

/** "A defect": the kit marks Loki's answer as one, and ringlog answers as documented. */
const REASONS: Readonly<Record<string, readonly string[]>> = {
  'a defect: filters on a label are tried as soon as a parser sets it, whatever comes between': [
    ...['pipeline-001', 'pipeline-002', 'pipeline-003', 'pipeline-004', 'metadata-048'],
  ],
  'a defect: a label dropped and set again is lost in `by`': ['pipeline-037'],
  'a defect: a line filter overtakes decolorize': ['pipeline-052'],
  'a defect: ip() behind `or` is read as text': ['line-filters-124', 'line-filters-125'],
  'a defect: some label regexes lose their anchors, empty ones match all': [
    ...['label-filters-124', 'label-filters-125', 'label-filters-126', 'label-filters-127'],
    ...['label-filters-148', 'label-filters-149'],
  ],
  'a defect: a label name that is a letter but not ASCII breaks the answer': ['label-format-040'],
  'not evaluated: variants, gone from Loki after 3.7': ['syntax-errors-067'],
};

/** What only a server shows: parameters, limits, printed queries. */
const SERVED_REASONS: Readonly<Record<string, readonly string[]>> = {
  'the same status and words, without gRPC’s words around them': ['http-088', 'http-089', 'http-090'],
  'Loki rounds byte literals to two digits: 5KiB becomes 5.1kB': ['format-query-009'],
  'Loki omits () after group_right, so that its own text does not parse again': ['format-query-030'],
  'index/stats: a Loki in one process counts what it has flushed twice': [
    ...[
      'stats-001',
      'stats-002',
      'stats-003',
      'stats-004',
      'stats-005',
      'stats-006',
      'stats-007',
      'stats-008',
      'stats-009',
    ],
  ],
};

const PUSH_REASONS: Readonly<Record<string, readonly string[]>> = {
  'every refusal of a push is reported; Loki reports its last stream’s alone': ['late-first', 'stream-limit'],
  'a defect: Loki refuses the whole push for a metadata name of which no letter is left': [
    ...['metadata-bad-name', 'otlp-bad-name-json', 'otlp-bad-name-proto'],
  ],
};

/** Id → reason. */
const byId = (reasons: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(reasons).flatMap(([reason, ids]) => ids.map((id): [string, string] => [id, reason])));

/** Of the engine. */
export const QUERY_EXCEPTIONS = byId(REASONS);

/** Of a server, asked queries. */
export const SERVED_EXCEPTIONS = byId({ ...REASONS, ...SERVED_REASONS });

/** Of a server, given pushes. */
export const PUSH_EXCEPTIONS = byId(PUSH_REASONS);
