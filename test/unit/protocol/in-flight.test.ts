import { expect } from 'chai';
import fc from 'fast-check';
import { InFlight } from '../../../src/protocol/in-flight.ts';
import { Line } from '../../../src/protocol/line.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

interface Thing {
  readonly name: number;
}

/** Numbers that count up, as those of calls do, those of a few that stay for long, and any. */
const key = fc.oneof(
  fc.nat(40),
  fc.nat(40).map((number) => 64 * number),
  fc.nat(2 ** 45),
);

describe('what is under way', () => {
  it('is known by its number, as in a Map, whatever comes and goes', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const step = fc.tuple(fc.constantFrom('set', 'set', 'delete', 'delete', 'clear'), key, fc.nat());
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const [known, model] = [new InFlight<Thing>(), new Map<number, Thing>()];
        let isCleared = false;
        for (const [what, number, name] of steps) {
          if (what === 'set') {
            known.set(number, { name });
            model.set(number, { name });
          } else if (what === 'delete') expect(known.delete(number)).to.equal(model.delete(number));
          else if (!isCleared) {
            isCleared = true;
            known.clear();
            model.clear();
          }
          expect(known.size).to.equal(model.size);
          expect(known.get(number)).to.deep.equal(model.get(number));
        }
        for (const [number, thing] of model) expect(known.get(number)).to.deep.equal(thing);
        expect(known.values()).to.have.deep.members([...model.values()]);
      }),
      { numRuns: propertyRuns(10) },
    );
  });

  it('is found where all begin at one place and wrap round the end', () => {
    const known = new InFlight<Thing>();
    // All at place 15 of 16.
    const numbers = [15, 31, 47, 63, 79];
    for (const name of numbers) known.set(name, { name });
    expect(known.delete(15)).to.equal(true);
    expect(numbers.map((number) => known.get(number)?.name)).to.deep.equal([undefined, 31, 47, 63, 79]);
    expect(known.has(15)).to.equal(false);
  });
});

describe('a line', () => {
  it('gives who came first, as an array would', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const step = fc.tuple(fc.constantFrom('push', 'push', 'shift'), fc.nat());
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const [line, model]: [Line<Thing>, Thing[]] = [new Line<Thing>(), []];
        for (const [what, name] of steps) {
          if (what === 'push') {
            line.push({ name });
            model.push({ name });
          } else expect(line.shift()).to.deep.equal(model.shift());
          expect(line.size).to.equal(model.length);
          expect(line.peek()).to.deep.equal(model[0]);
        }
        line.clear();
        expect([line.size, line.peek(), line.shift()]).to.deep.equal([0, undefined, undefined]);
      }),
      { numRuns: propertyRuns(10) },
    );
  });
});
