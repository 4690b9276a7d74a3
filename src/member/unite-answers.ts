/** What several members hold as one answer, each stream and segment once: one that moves is held twice for a while. */
import { forEachInSlices } from '../actors/cooperative.ts';
import { isLogged, type SegmentId, segmentName } from '../chunk/memory-format.ts';
import type { Clock } from '../protocol/clock.ts';
import type { LabelSet } from '../protocol/label-set.ts';
import type { MemoryStream } from '../query/query-source.ts';
import type { HeldVolume } from '../query/stream-volume.ts';

type Answers<Held> = readonly (readonly Held[])[];

/** A slice of work on the event loop: a selector may match 100,000 streams. */
const SLICE_MS = 4;

/** What is at hand goes before what must be loaded. */
export const uniteStreams = (clock: Clock, answers: Answers<MemoryStream>): Promise<readonly MemoryStream[]> =>
  unite(clock, answers, canonicalOf, ({ labels, segments }, other) => ({
    labels,
    segments: onceEach([...segments, ...other.segments], (known, segment) => isLogged(known) && !isLogged(segment)),
  }));

/** What the longer copy has: the giver's may be the older one. */
export const uniteVolumes = (clock: Clock, answers: Answers<HeldVolume>): Promise<readonly HeldVolume[]> =>
  unite(clock, answers, canonicalOf, ({ labels, segments }, other) => ({
    labels,
    segments: onceEach([...segments, ...other.segments], (known, segment) => known.entries < segment.entries),
  }));

export const uniteLabelSets = (clock: Clock, answers: Answers<LabelSet>): Promise<readonly LabelSet[]> =>
  unite(
    clock,
    answers,
    ({ canonical }) => canonical,
    (labels) => labels,
  );

const canonicalOf = ({ labels }: { readonly labels: LabelSet }): string => labels.canonical;

const unite = async <Held>(
  clock: Clock,
  answers: Answers<Held>,
  nameOf: (held: Held) => string,
  uniteTwo: (one: Held, other: Held) => Held,
): Promise<readonly Held[]> => {
  const united = new Map<string, Held>();
  for (const answer of answers) {
    await forEachInSlices(clock, SLICE_MS, answer, (held) => {
      const name = nameOf(held);
      const known = united.get(name);
      united.set(name, known === undefined ? held : uniteTwo(known, held));
    });
  }
  return [...united.values()];
};

const onceEach = <Segment extends { readonly id: SegmentId }>(
  segments: readonly Segment[],
  isBetter: (known: Segment, segment: Segment) => boolean,
): readonly Segment[] => {
  const byName = new Map<string, Segment>();
  for (const segment of segments) {
    const name = segmentName(segment.id);
    const known = byName.get(name);
    if (known === undefined || isBetter(known, segment)) byName.set(name, segment);
  }
  return [...byName.values()];
};
