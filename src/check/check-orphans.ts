import { CorruptChunkError } from '../chunk/corrupt-chunk-error.ts';
import { labelsInChunk } from '../copy/chunk-labels.ts';
import { indexedChunks } from '../copy/chunk-rows.ts';
import { forEachConcurrent } from '../protocol/for-each-concurrent.ts';
import type { ChunkRef } from '../storage/index-reader.ts';
import { readLabels } from './check-objects.ts';
import type { StoreCheck } from './store-check.ts';
import type { Suspects } from './suspects.ts';

/** Chosen: objects that were deleted and could still be put back. */
const HELD_BYTES_MAX = 128 << 20;

/** An orphan that was deleted, for as long as its rows may still come. */
interface Held {
  readonly ref: ChunkRef;
  readonly bytes: Uint8Array;
}

/**
 * What became of the objects that no row names: those that a commit names get their rows, the others are orphans.
 *
 * A flush that was at it for longer than the grace finds its object there, with the age of its first attempt, and writes its rows in the moment after the last look.
 * So what is deleted is held for a while, looked up once more, and put back if it has got rows.
 */
export class OrphanCheck {
  readonly #check: StoreCheck;
  readonly #suspects: Suspects;
  readonly #tables: ReadonlySet<string> | undefined;
  #held: Held[] = [];
  #heldBytes = 0;

  /** @param tables those that are there, if the store can tell */
  constructor(check: StoreCheck, suspects: Suspects, tables: ReadonlySet<string> | undefined) {
    this.#check = check;
    this.#suspects = suspects;
    this.#tables = tables;
  }

  async run(): Promise<void> {
    const { deps, objectLimit } = this.#check;
    await this.#committed();
    for (const { tenant } of this.#suspects.orphans) objectLimit.lose(tenant);
    try {
      for (const ref of this.#suspects.orphans) {
        if (deps.signal.aborted) break;
        await this.#orphan(ref);
        if (this.#heldBytes >= HELD_BYTES_MAX) await this.#settle();
      }
    } finally {
      await this.#settle();
    }
  }

  async #committed(): Promise<void> {
    const { side, options, deps } = this.#check;
    if (this.#suspects.orphanCount === 0) return;
    for await (const { chunkKey, isUnfinished } of side.index.commits()) {
      if (deps.signal.aborted) return;
      const ref = this.#suspects.takeOrphan(chunkKey);
      // Of an unfinished one its commit was told.
      if (!ref || isUnfinished || !(await this.#isStillOne(ref))) continue;
      const isMended = options.fixes && (await this.#index(ref));
      const why = 'a commit names it, and none of its rows is there';
      await this.#check.found({ kind: 'missing-rows', chunk: ref.key, why, isMended });
    }
  }

  async #index(ref: ChunkRef): Promise<boolean> {
    const labels = await readLabels(this.#check, ref);
    return labels !== undefined && (await this.#check.writeRowsOf(ref, labels));
  }

  /** An index that is not the one of these objects makes all of them orphans. */
  #whyStays({ key, tenant }: ChunkRef): string | undefined {
    const table = this.#suspects.outsideOf(key);
    if (table !== undefined) return `kept: a row of ${table} names it where the schema has none`;
    if (this.#suspects.isOverfull) return 'kept: too many orphans to count, is this their index?';
    return this.#check.objectLimit.whyHeld(tenant);
  }

  async #orphan(ref: ChunkRef): Promise<void> {
    const { options } = this.#check;
    if (!(await this.#isStillOne(ref))) return;
    const missing = this.#check.daysOf(ref).find(({ table }) => this.#tables?.has(table) === false);
    const why = missing ? `no row names it: table ${missing.table} is not there` : 'no row names it';
    const whyKept = options.deletesOrphans ? this.#whyStays(ref) : undefined;
    const mayGo = options.deletesOrphans && whyKept === undefined && !missing;
    const isMended = mayGo && (await this.#delete(ref));
    const note = whyKept === undefined ? '' : `; ${whyKept}`;
    await this.#check.found({ kind: 'orphan-object', chunk: ref.key, why: why + note, isMended });
  }

  /** It may have been removed meanwhile, or be about to. */
  async #isStillOne({ key }: ChunkRef): Promise<boolean> {
    const { figures, side } = this.#check;
    if (await this.#check.isMarked(key)) {
      figures.marked += 1;
      return false;
    }
    const state = await side.chunks.state(key);
    if (!state) figures.gone += 1;
    else if (!this.#check.isOld(state.storedMs)) figures.young += 1;
    else return true;
    return false;
  }

  async #delete(ref: ChunkRef): Promise<boolean> {
    const { side } = this.#check;
    const bytes = await side.chunks.get(ref.key);
    if (!bytes || (await this.#check.isUnsettled(ref.key)) || (await this.#hasRows({ ref, bytes }))) return false;
    // Held first: a delete that fails may have deleted it.
    this.#held.push({ ref, bytes });
    this.#heldBytes += bytes.length;
    await side.chunks.delete(ref.key);
    return true;
  }

  async #hasRows({ ref, bytes }: Held): Promise<boolean> {
    const { side } = this.#check;
    try {
      const chunk = this.#check.indexed(ref, labelsInChunk(bytes, ref));
      return (await indexedChunks(side, [chunk], 'any')).size > 0;
    } catch (error) {
      // It was whole when it was taken for an orphan: whatever it is now, it stays.
      if (error instanceof CorruptChunkError) return true;
      throw error;
    }
  }

  /** Puts back what was committed, or is being, while it was deleted. Also at an early end: what was begun is finished. */
  async #settle(): Promise<void> {
    const { options, deps } = this.#check;
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    if (held.length === 0) return;
    await new Promise<void>((resolve) => deps.clock.after(options.orphanHoldMs, resolve));
    await forEachConcurrent(held, options.concurrency, async (one) => {
      if (await this.#mayHaveRows(one)) await this.#putBack(one);
    });
  }

  /** Where that cannot be told it goes back: an orphan more does no harm. */
  async #mayHaveRows(one: Held): Promise<boolean> {
    try {
      return (await this.#check.isUnsettled(one.ref.key)) || (await this.#hasRows(one));
    } catch {
      return true;
    }
  }

  /** One that fails does not keep the others from going back. */
  async #putBack({ ref, bytes }: Held): Promise<void> {
    const { side, deps, figures } = this.#check;
    try {
      await side.chunks.put(ref.key, bytes);
      figures.restored += 1;
    } catch (error) {
      const where = await deps.keepBytes(ref.key, bytes).then(
        (file) => `its bytes are in ${file}`,
        (cause: Error) => `its bytes could not be written to a file: ${cause.message}`,
      );
      const why = `it may have got rows, and could not be put back (${(error as Error).message}): ${where}`;
      await this.#check.found({ kind: 'orphan-object', chunk: ref.key, why, isMended: false });
    }
  }
}
