import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { parse as parseYaml } from 'yaml';
import { type Discard, refusalOf } from '../../../src/protocol/discards.ts';
import { parseLabelText } from '../../../src/protocol/label-text.ts';
import { readLimits } from '../../../src/protocol/limits.ts';
import { decodePushBody } from '../../../src/protocol/push-body.ts';
import { validateStream } from '../../../src/protocol/push-validation.ts';
import { IngestionRateLimiter } from '../../../src/protocol/rate-limiter.ts';
import { type RefusalCode, RefusedError } from '../../../src/protocol/refusal.ts';
import { resolveTenant } from '../../../src/protocol/tenant.ts';
import { entriesOf } from './pushes.ts';

/** Pushes that real Loki 3.7 was given, with its answers and what it stored (test/conformance). */
interface PushCase {
  readonly id: string;
  readonly category: string;
  readonly about: string;
  readonly tenant?: string;
  readonly bug?: boolean;
  readonly requests: readonly {
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body: string;
  }[];
  readonly expect: {
    readonly answers: readonly { readonly status: number; readonly text: string; readonly ownWords?: boolean }[];
    readonly stored: readonly { readonly r: readonly (readonly [Record<string, string>, readonly StoredEntry[]])[] }[];
  };
}

/** Nanoseconds since the base, line, metadata. */
type StoredEntry = readonly [string, string, { readonly structuredMetadata?: Readonly<Record<string, string>> }];

const conformance = (name: string): string =>
  readFileSync(new URL(`../../conformance/${name}`, import.meta.url), 'utf8');

const cases = JSON.parse(conformance('push-cases.json')) as readonly PushCase[];
const { limits_config: recordedLimits } = parseYaml(
  conformance('reference/loki-3.7.yaml').replaceAll(/\$\{\w+\}/g, 'x'),
);
const { per_tenant_override_config: _, ...limitsConfig } = recordedLimits;
const tenantLimits = readLimits(limitsConfig, parseYaml(conformance('reference/overrides-3.7.yaml')).overrides);

const BASE_NS = 1_710_028_800_000_000_000n;
const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const BODY_LIMITS = { compressedBytesMax: 2 ** 26, decompressedBytesMax: 2 ** 26 };

const STATUS: Partial<Record<RefusalCode, number>> = {
  BAD_REQUEST: 400,
  INVALID_ENTRIES: 400,
  NO_TENANT: 401,
  EMPTY_PUSH: 422,
  RATE_LIMITED: 429,
};

/** What the stream actors decide, and what this version does not do. */
const isJudgedElsewhere = ({ id, category, tenant, bug }: PushCase): boolean =>
  category === 'otlp' ||
  category === 'order' ||
  bug === true ||
  tenant === 'push-discover' ||
  ['stream-rate', 'stream-limit'].includes(id);

/** A push through everything in front of the stream actors. */
const take = async ({ path, headers, body }: PushCase['requests'][number], tenantSuffix: string) => {
  const tenant = resolveTenant(headers['x-scope-orgid'] ?? `conformance-${tenantSuffix}`, true);
  const { streams } = await decodePushBody({
    contentType: headers['content-type'],
    contentEncoding: headers['content-encoding'],
    body: Buffer.from(body, 'base64'),
    limits: BODY_LIMITS,
    isLegacy: path.includes('/api/prom/'),
  });
  const limits = tenantLimits.limitsFor(tenant);
  const labels = streams.map(({ labelText }) => parseLabelText(labelText));
  const validated = streams.map((stream, index) => validateStream(stream, labels[index]!, limits, NOW_MS));
  const lines = validated.reduce((sum, { first, end }) => sum + end - first, 0);
  const bytes = validated.reduce((sum, stream) => sum + stream.lineBytes + stream.metadataBytes, 0);
  const limited = new IngestionRateLimiter(() => 0).take(tenant, lines, bytes, limits);
  if (limited) throw new RefusedError(limited);
  return { validated, discards: validated.flatMap((stream): readonly Discard[] => stream.discards) };
};

const answerOf = async (request: PushCase['requests'][number], tenant: string) => {
  try {
    const { validated, discards } = await take(request, tenant);
    const refusal = refusalOf(discards);
    return { refusal, validated };
  } catch (error) {
    if (error instanceof RefusedError) return { refusal: error.refusal, validated: [] };
    throw error;
  }
};

/** Groups come in any order, and "oldest acceptable" depends on the clock. */
const comparable = (text: string): string[] =>
  text
    .replaceAll(/(oldest acceptable timestamp is: )[^,;]+/g, '$1…')
    .split(/; (?=\d+ errors like: )/)
    .sort();

const shown = (labels: Record<string, string>, entries: readonly StoredEntry[]): string[] =>
  entries.map(([ns, line, { structuredMetadata = {} }]) => {
    const metadata = Object.entries(structuredMetadata)
      .map(([name, value]) => [name.replace(/_extracted$/, ''), value])
      .sort();
    return JSON.stringify([Object.entries(labels).sort(), ns, line, metadata]);
  });

describe('pushes that real Loki answered', () => {
  for (const recorded of cases.filter((item) => !isJudgedElsewhere(item))) {
    const [request] = recorded.requests;
    const [answer] = recorded.expect.answers;
    it(`${recorded.id}: ${recorded.about}`, async () => {
      const { refusal, validated } = await answerOf(request!, recorded.tenant ?? 'push');
      expect(refusal ? STATUS[refusal.code] : 204, refusal?.text).to.equal(answer!.status);
      if (answer!.ownWords) expect(refusal?.text).to.not.equal('');
      else expect(comparable(refusal?.text ?? '')).to.deep.equal(comparable(answer!.text));
      const stored = validated.flatMap((stream) => {
        const pairs = stream.labels.pairs.flatMap((name, index) =>
          index % 2 ? [] : [[name, stream.labels.pairs[index + 1] ?? '']],
        );
        const entries = entriesOf(stream).map(({ timeNs, line, metadata = [] }): StoredEntry => {
          const own = metadata.flatMap((name, index) => (index % 2 ? [] : [[name, metadata[index + 1] ?? '']]));
          return [
            String(timeNs - BASE_NS),
            Buffer.from(line).toString(),
            { structuredMetadata: Object.fromEntries(own) },
          ];
        });
        return shown(Object.fromEntries(pairs), entries);
      });
      const expected = recorded.expect.stored.flatMap(({ r }) =>
        r.flatMap(([labels, entries]) => shown(labels, entries)),
      );
      expect(stored.sort()).to.deep.equal(expected.sort());
    });
  }

  it('most of the cases are judged here', () => {
    expect(cases.filter((item) => !isJudgedElsewhere(item)).length).to.be.above(120);
  });
});
