export interface Mutation {
  readonly name: string;
  readonly edits: readonly {
    readonly file: string;
    /** Is there once. */
    readonly from: string;
    readonly to: string;
  }[];
}

const once = (name: string, file: string, from: string, to: string): Mutation => ({
  name,
  edits: [{ file, from, to }],
});

const ADOPTIONS = 'src/member/adoptions.ts';
const ADOPTION = 'src/log/adoption.ts';
const GIVER = 'src/cluster/handover/giver-state.ts';
const LOG = 'src/log/log.ts';

/** In the order of the protocol: what is taken, what moves, what is let go, what is stored, what is answered. */
export const MUTATIONS: readonly Mutation[] = [
  once(
    'no fence',
    'src/member/member.ts',
    'if (this.#deps.membership.fenceRemainingMs > 0) return undefined;',
    'if (this.#deps.membership.fenceRemainingMs > -1e9) return undefined;',
  ),
  once('acknowledged before it is synced', LOG, "isSynced: sync === 'fsync'", 'isSynced: false'),
  {
    name: 'custody without epochs',
    edits: [
      { file: GIVER, from: 'if (epoch <= this.epochOf(name)) continue;', to: '' },
      {
        file: ADOPTION,
        from: 'const epoch = Math.max(above, segment.highestEpoch) + 1;',
        to: 'const epoch = above;',
      },
    ],
  },
  once(
    'a segment that comes back is not taken at a higher epoch',
    ADOPTIONS,
    'const epoch = Math.max(own.epoch, theirs, own.segment.highestEpoch, this.#deps.epochOf(name)) + 1;',
    'const epoch = Math.max(own.epoch, theirs, own.segment.epoch);',
  ),
  once('what comes back is released all the same', ADOPTIONS, '    this.#deps.returned(name, epoch);\n', ''),
  once('a part is taken whatever is missing in front of it', ADOPTION, '      if (run.first > has) break;\n', ''),
  once(
    'a seal says that all is there, not how much',
    ADOPTIONS,
    "if (epoch === undefined || !segment) return { type: 'refused' };",
    "if (epoch === undefined || !segment) return { type: 'adopted', epoch: theirs + 1 };",
  ),
  once(
    'a segment whose name is known counts as taken',
    ADOPTIONS,
    'if (known?.flushed?.isComplete) return',
    'if (known) return',
  ),
  once(
    'adopted before custody is durable',
    ADOPTION,
    '      await this.#write.take(segment, runs, epoch, finalCount);\n',
    '      void this.#write.take(segment, runs, epoch, finalCount).catch(() => undefined);\n',
  ),
  once('adopted, and the actors are not told', ADOPTIONS, '      holdings.adopted(segment);\n', ''),
  once(
    'what nobody answered counts as given',
    GIVER,
    '      if (segment) this.#again(segment, nowMs, nowMs, effects);\n',
    "      if (!segment) continue;\n      segment.epoch += 1;\n      segment.dueMs = nowMs + this.#options.lingerMs;\n      this.#enter(segment, 'given');\n      effects.push({ type: 'given', name });\n",
  ),
  once('linger 0', 'src/member/start-member.ts', 'lingerMs: cluster.linger,', 'lingerMs: 0,'),
  once(
    'released without a tombstone',
    LOG,
    'return this.#end(segment, pair(RecordType.RELEASED, segment.count, epoch));',
    'return this.#end(segment, pair(RecordType.DROP, 0, 0));',
  ),
  {
    name: 'leaves with segments on its disk',
    edits: [
      {
        file: 'src/member/leaving.ts',
        from: 'while (!(handover.isSettled && isEmpty())) {',
        to: 'while (!handover.isSettled) {',
      },
      {
        file: 'src/member/leaving.ts',
        from: 'return await membership.leave(() => isEmpty(), restMs);',
        to: 'return await membership.leave(() => true, restMs);',
      },
    ],
  },
  once(
    'commit without condition',
    'test/support/stores/memory-index-store.ts',
    'if (known.length > 0) return new Map(known);',
    '',
  ),
  once(
    'forgotten before it is committed',
    'src/actors/flusher.ts',
    '    let placed = this.#placed.get(job);\n',
    '    let placed = this.#placed.get(job);\n    for (const { log, id } of job.segments) if (log) this.#deps.ended(log, id);\n',
  ),
  once(
    'a walk flushes',
    'src/member/node-holdings.ts',
    '    const elsewhere: Place[] = [];\n',
    '    const elsewhere: Place[] = [];\n    await this.#node.services.flush().catch(() => undefined);\n',
  ),
  once(
    'store before memory',
    'src/query/gather-streams.ts',
    '  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);\n  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range, bound);\n',
    '  const refs = await sources.stored.index.chunkRefs(tenant, matchers, range, bound);\n  const memory = await sources.memory.select(tenant, matchers, range, signal, onMissing);\n',
  ),
  {
    name: 'a query takes the view it has, and an answer of a later one is as good',
    edits: [
      {
        file: 'src/member/member.ts',
        from: 'freshView: (deadlineMs) => membership.freshView(deadlineMs),',
        to: 'freshView: async () => membership.view,',
      },
      {
        file: 'src/member/cluster-memory.ts',
        from: 'if (latest > Math.max(view.changedAt, knownThrough)) {',
        to: 'if (latest < 0) {',
      },
    ],
  },
  once(
    'missing disks are no matter',
    'src/member/cluster-memory.ts',
    'const gone = missingDisks(view).map(unavailableDisk);',
    'const gone = missingDisks({ ...view, roster: [] }).map(unavailableDisk);',
  ),
  once(
    'a member that does not answer is passed over',
    'src/member/cluster-memory.ts',
    'failed.push(unavailableMember(outcome.reason));',
    'continue;',
  ),
];
