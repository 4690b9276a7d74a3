import { expect } from 'chai';
import { HeadBudget } from '../../../src/actors/head-budget.ts';
import { StreamCell } from '../../../src/actors/stream-cell.ts';
import { stepStream } from '../../../src/actors/stream-state.ts';
import { TenantStreams } from '../../../src/actors/tenant-streams.ts';
import { defaultSchemaConfig, periodAt } from '../../../src/storage/schema-config.ts';
import { entryAt, labelsOf, rangeOf } from '../../support/entries.ts';

const SCHEMA = defaultSchemaConfig();
const STREAMS = 200;
const LINES_AT_FIRST = 42;
const LINES = 5;
const ROUNDS = 60;
const LINE = 'x'.repeat(120);
/** Of a stream's share of the budget: what several of its appends bring. */
const HEAD_BYTES = 3_000;

describe('a head budget', () => {
  it('has heads cut that took in what several appends brought, whatever they took in before', () => {
    const tenant = new TenantStreams('tenant');
    const cells = Array.from(
      { length: STREAMS },
      (_, index) => new StreamCell(tenant, labelsOf(`{app="web", n="${index}"}`), 0),
    );
    const linesOfCuts: number[] = [];
    const asked: StreamCell[] = [];
    const budget = new HeadBudget(STREAMS * HEAD_BYTES, (cell) => asked.push(cell));
    let counter = 0;
    const surroundings = {
      segmentLimits: { blockSize: 256 << 10, targetSize: 1 << 20 },
      nextSegmentId: () => ({ nodeId: 'n', incarnation: 1, counter: counter++ }),
      periodAt: (timeNs: bigint) => periodAt(SCHEMA, Number(timeNs / 1_000_000n)),
      compressionGuess: () => 0.1,
    };
    const limits = { rateBytes: 0, rateBurstBytes: 0, windowNs: 0n, isOrdered: false };
    let time = 0;
    const append = (cell: StreamCell, count: number): void => {
      const ranges = [rangeOf(Array.from({ length: count }, () => entryAt(time++, LINE)))];
      stepStream(cell, { type: 'append', ranges, limits, nowMs: 0, reply: () => undefined }, surroundings);
      budget.update(cell);
      for (let next = asked.pop(); next; next = asked.pop()) {
        for (const effect of stepStream(next, { type: 'cut-early' }, surroundings)) {
          if (effect.type === 'cut') linesOfCuts.push(effect.cut.head.count);
        }
        budget.update(next);
      }
    };
    for (let round = 0; round < 4; round += 1) for (const cell of cells) append(cell, LINES_AT_FIRST);
    const before = linesOfCuts.length;
    for (let round = 0; round < ROUNDS; round += 1) for (const cell of cells) append(cell, LINES);
    const lines = linesOfCuts.slice(before);
    expect(lines).to.have.length.greaterThan(STREAMS);
    expect(lines.reduce((sum, count) => sum + count, 0) / lines.length).to.be.greaterThan(5 * LINES);
    expect(budget.bytes).to.be.at.most(STREAMS * HEAD_BYTES);
  });
});
