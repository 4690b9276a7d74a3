/** Stages over lines that lie in one buffer, as in a block. Per iteration one pass over all lines; `MB` in the name is what it reads. */
import { bench, group } from 'mitata';
import type { LogExpr } from '../../../src/logql/ast.ts';
import { compilePipeline } from '../../../src/logql/compile-pipeline.ts';
import { ALL_LABELS } from '../../../src/logql/hints.ts';
import { parseExpr } from '../../../src/logql/parser.ts';
import type { LabelHints, PipelineRun } from '../../../src/logql/pipeline.ts';
import { sized } from '../bench-size.ts';

const LINES = sized(5000, 50);

interface Corpus {
  readonly bytes: Buffer;
  /** Start of line i; one more than there are lines. */
  readonly starts: Uint32Array;
}

/** A small seeded generator (Lehmer), so that runs compare. */
const randomOf = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
};

type Write = (random: () => number, pick: <T>(choices: readonly T[]) => T, index: number) => string;

const makeCorpus = (write: Write): Corpus => {
  const random = randomOf(7);
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(random() * choices.length)]!;
  const lines = Array.from({ length: LINES }, (_, index) => write(random, pick, index));
  const starts = new Uint32Array(LINES + 1);
  for (const [index, line] of lines.entries()) starts[index + 1] = starts[index]! + Buffer.byteLength(line) + 1;
  return { bytes: Buffer.from(`${lines.join('\n')}\n`), starts };
};

const STATUSES = [200, 200, 200, 200, 301, 404, 500, 503];
const LEVELS = ['info', 'info', 'info', 'warn', 'error', 'debug'];
const METHODS = ['GET', 'GET', 'POST', 'PUT'];

const pathOf: Write = (random, pick) =>
  `/api/v1/${pick(['ships', 'berths', 'cranes'])}/${Math.floor(random() * 10_000)}`;
const timeOf = (index: number): string => `2024-03-10T02:58:${String(index % 60).padStart(2, '0')}.123Z`;

const CORPORA = {
  json: makeCorpus(
    (random, pick, index) =>
      `{"ts":"${timeOf(index)}","level":"${pick(LEVELS)}","msg":"request handled","method":"${pick(METHODS)}","path":"${pathOf(random, pick, index)}","status":${pick(STATUSES)},"duration_ms":${(random() * 500).toFixed(2)},"trace_id":"${Math.floor(random() * 1e15).toString(16)}","user":"u${Math.floor(random() * 500)}"}`,
  ),
  logfmt: makeCorpus(
    (random, pick, index) =>
      `ts=${timeOf(index)} level=${pick(LEVELS)} msg="request handled" method=${pick(METHODS)} path=${pathOf(random, pick, index)} status=${pick(STATUSES)} duration=${(random() * 500).toFixed(2)}ms trace_id=${Math.floor(random() * 1e15).toString(16)}`,
  ),
  access: makeCorpus(
    (random, pick, index) =>
      `203.0.113.${index % 255} - chidi [10/Mar/2024:02:59:41 +0000] "${pick(METHODS)} ${pathOf(random, pick, index)} HTTP/1.1" ${pick(STATUSES)} ${Math.floor(random() * 90_000)} "https://port.example/home" "Mozilla/5.0 (X11; Linux x86_64)"`,
  ),
} as const;

interface BenchCase {
  readonly corpus: keyof typeof CORPORA;
  readonly stages: string;
  /** Labels a metric query would ask for; all if left out. */
  readonly extract?: readonly string[];
  /** What the engine reads of a kept entry. */
  readonly read?: (run: PipelineRun) => unknown;
}

const GROUPS: Readonly<Record<string, readonly BenchCase[]>> = {
  'line filters': [
    { corpus: 'access', stages: '|= "/cranes/77"' },
    { corpus: 'access', stages: '!= "HTTP/2.0"' },
    { corpus: 'access', stages: '|~ "(?i)CRANES/77"' },
    { corpus: 'access', stages: '|~ "cranes/77|berths/88"' },
    { corpus: 'access', stages: '|~ "/cranes/\\\\d+7 HTTP"' },
    { corpus: 'access', stages: '|~ "[45]\\\\d\\\\d [0-9]+$"' },
    { corpus: 'access', stages: '|> "<_> \\"GET <_> HTTP/1.1\\" 500 <_>"' },
    { corpus: 'access', stages: '|= ip("203.0.113.0/28")' },
  ],
  parsers: [
    { corpus: 'json', stages: '| json | status >= 500', extract: ['status', 'app'], read: (run) => run.get('app') },
    { corpus: 'json', stages: '| json', extract: ['level'], read: (run) => run.get('level') },
    { corpus: 'json', stages: '| json', extract: ['user'], read: (run) => run.get('user') },
    { corpus: 'json', stages: '| json' },
    { corpus: 'json', stages: '| json', read: (run) => run.labelsKey() },
    { corpus: 'json', stages: '| json s="status" | s >= 500', extract: ['s'] },
    { corpus: 'logfmt', stages: '| logfmt', extract: ['level'], read: (run) => run.get('level') },
    { corpus: 'logfmt', stages: '| logfmt | level="error"', extract: ['level'] },
    { corpus: 'logfmt', stages: '| logfmt' },
    {
      corpus: 'access',
      stages: '| pattern `<ip> - <_> [<_>] "<method> <path> <_>" <status> <_>` | status >= 500',
      extract: ['status'],
    },
    { corpus: 'access', stages: '| regexp `"(?P<method>\\w+) (?P<path>\\S+) HTTP/1.1" (?P<status>\\d+)`' },
  ],
  formats: [
    { corpus: 'json', stages: '| json | line_format "{{.level}} {{.msg}} {{.status}}"' },
    { corpus: 'json', stages: '| json | line_format "{{.msg}}"' },
    { corpus: 'json', stages: '| label_format x="{{.app}}"' },
    { corpus: 'access', stages: '| decolorize' },
  ],
};

const passOver = ({ bytes, starts }: Corpus, run: PipelineRun, read: BenchCase['read']): number => {
  const timeNs = (): bigint => 0n;
  let kept = 0;
  for (let index = 0; index < LINES; index++) {
    if (!run.process(bytes, starts[index]!, starts[index + 1]! - 1, timeNs, undefined)) continue;
    kept++;
    read?.(run);
  }
  return kept;
};

const start = ({ stages, extract }: BenchCase): PipelineRun => {
  const { stages: tree } = parseExpr(`{app="web"} ${stages}`) as LogExpr;
  const hints: LabelHints = extract === undefined ? ALL_LABELS : { extract, preserveError: false };
  return compilePipeline(tree, { hints }).forStream({ pairs: ['app', 'web'], canonical: '', fingerprint: 0n });
};

export const registerBenches = (): void => {
  for (const [title, cases] of Object.entries(GROUPS)) {
    group(`stages: ${title}`, () => {
      for (const benchCase of cases) {
        const corpus = CORPORA[benchCase.corpus];
        const run = start(benchCase);
        const megabytes = (corpus.bytes.length / 1e6).toFixed(2);
        const by = benchCase.extract === undefined ? '' : ` for ${benchCase.extract.join(', ')}`;
        bench(`${megabytes} MB ${benchCase.stages}${by}`, () => passOver(corpus, run, benchCase.read));
      }
    });
  }
};
