import { bench, do_not_optimize } from 'mitata';
import { sourceMarks } from '../../../src/query/source-marks.ts';
import { Turns } from '../../../src/query/turns.ts';
import { formatChunkKey } from '../../../src/storage/chunk-key.ts';
import { systemClock } from '../../../src/system-clock.ts';
import { chunkRefsOf } from '../../support/stores/chunk-refs-of.ts';
import { sized } from '../bench-size.ts';
import { START_NS } from './metric-plan.ts';

const HOURS = 24;
const HOUR_MS = 3_600_000;
const MS_NS = 1_000_000n;
const CHUNKS_PER_STREAM = 100;

/** What it costs to know whether parts of an answer still hold: chunks of a day, looked at for each of its hours. */
export const registerBenches = async (): Promise<void> => {
  const streams = sized(1_000, 2);
  const stepMs = (HOURS * HOUR_MS) / CHUNKS_PER_STREAM;
  const keys = Array.from({ length: streams * CHUNKS_PER_STREAM }, (_, index) => {
    const fromMs = Number(START_NS / MS_NS) + (index % CHUNKS_PER_STREAM) * stepMs;
    const fingerprint = BigInt(Math.floor(index / CHUNKS_PER_STREAM)) << 40n;
    return formatChunkKey('v13', { tenant: 't', fingerprint, fromMs, throughMs: fromMs + stepMs, checksum: index });
  });
  const refs = await chunkRefsOf('t', keys);
  const gathered = {
    streams: () => Array.from(refs.streams(), (stored) => ({ memory: [], refs: stored })),
    chunkRefs: keys.length,
    streamsInMemory: 0,
    chunksInMemory: 0,
  };
  const ranges = Array.from({ length: HOURS }, (_, hour) => ({
    startNs: START_NS + BigInt(hour * HOUR_MS) * MS_NS,
    endNs: START_NS + BigInt((hour + 1) * HOUR_MS) * MS_NS - 1n,
  }));
  const sources = [{ tenant: 't', hidden: undefined, gathered }];
  bench(`marks of ${HOURS} h, ${keys.length} chunks`, async () =>
    do_not_optimize(await sourceMarks(sources, ranges, new Turns(systemClock))),
  );
};
