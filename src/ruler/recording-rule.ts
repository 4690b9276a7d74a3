/** What a recording rule makes of the samples of its expression. Pure. */
import { EvaluationError } from './alerting-rule.ts';
import type { NamedTexts, Rule } from './rule-group.ts';
import { labelKey, type Sample, withLabels } from './sample.ts';

/** @throws EvaluationError if two samples become one, or there are too many of them */
export const recordedSamples = (
  rule: Rule,
  groupLabels: NamedTexts,
  samples: readonly Sample[],
  limit: number,
): readonly Sample[] => {
  const changes = [['__name__', rule.record] as const, ...Object.entries({ ...groupLabels, ...rule.labels })];
  const seen = new Set<string>();
  const recorded = samples.map(({ labels, value }) => ({ labels: withLabels(labels, changes), value }));
  for (const { labels } of recorded) {
    const key = labelKey(labels);
    if (seen.has(key)) {
      throw new EvaluationError('vector contains metrics with the same labelset after applying rule labels');
    }
    seen.add(key);
  }
  if (limit > 0 && recorded.length > limit) {
    throw new EvaluationError(`exceeded limit of ${limit} with ${recorded.length} series`);
  }
  return recorded;
};
