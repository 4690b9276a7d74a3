import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect } from 'chai';
import { MUTATIONS } from './mutation-list.ts';

const ROOT = path.join(import.meta.dirname, '..', '..');

describe('the mistakes that the simulation should find', () => {
  it('can be made in the product as it is: what each changes is there once', () => {
    const places = MUTATIONS.flatMap(({ name, edits }) => edits.map((edit) => ({ name, ...edit })));
    expect(places).to.have.length.above(20);
    for (const { name, file, from, to } of places) {
      const count = readFileSync(path.join(ROOT, file), 'utf8').split(from).length - 1;
      expect(count, `${name}: ${file}: ${from}`).to.equal(1);
      expect(to, name).not.to.equal(from);
    }
  });
});
