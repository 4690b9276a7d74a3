/** Settings of what removes stored entries, under Loki's names where it has them. */
import { z } from 'zod';
import { retentionRulesOf } from './compaction/retention-rules.ts';
import { duration, flag, text, wholeNumber } from './config-values.ts';
import type { TenantLimits } from './protocol/limits.ts';
import { RefusedError } from './protocol/refusal.ts';

export const compactor = z.strictObject({
  /** Without it nothing is ever removed, and there is no delete API. Retention: limits `retention_period` and `retention_stream`; deletes: `deletion_mode`. */
  retention_enabled: flag().prefault(false),
  /** From the end of a pass over everything stored to the begin of the next. */
  compaction_interval: duration({ min: '1s', max: '30d' }).prefault('10m'),
  /** A chunk's object goes so long after its index rows: queries that found them may still read it. */
  retention_delete_delay: duration({ min: '0s', max: '30d' }).prefault('2h'),
  /** A delete request may be cancelled for so long, and is not begun before. Longer than `ingester.max_chunk_age`: what is not stored yet is not deleted. */
  delete_request_cancel_period: duration({ min: '0s', max: '365d' }).prefault('24h'),
  /** The longest `max_interval` that a request may ask for; 0: any. */
  delete_max_interval: duration({ min: '0s', max: '365d' }).prefault('24h'),
  /** Loki's; requests are kept in the index store here. */
  delete_request_store: text('the name of a store, or nothing', /^[a-z0-9_.-]{0,64}$/).prefault(''),
  /** Chunks removed or rewritten, so that others get their share of stores and threads. */
  max_chunks_per_second: wholeNumber(1, 100_000).prefault(50),
  /** Passes only count and log what they would do. */
  dry_run: flag().prefault(false),
});

export const COMPACTOR_DURATION_KEYS = [
  'compaction_interval',
  'retention_delete_delay',
  'delete_request_cancel_period',
  'delete_max_interval',
] as const;

/** Selectors that are none. */
export const retentionProblems = (limits: TenantLimits): readonly string[] => {
  const problems = limits.all().flatMap((own) => {
    try {
      retentionRulesOf(own);
      return [];
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      return [`retention_stream: ${error.refusal.text}`];
    }
  });
  return [...new Set(problems)];
};
