import { expect } from 'chai';
import { BoundedMap } from '../../../src/storage/bounded-map.ts';

describe('a bounded map', () => {
  it('keeps what was set while there is room', () => {
    const map = new BoundedMap<string, number>(10);
    for (let key = 0; key < 5; key++) map.set(`${key}`, key);
    expect([0, 1, 2, 3, 4, 5].map((key) => map.get(`${key}`))).to.deep.equal([0, 1, 2, 3, 4, undefined]);
  });

  it('never grows beyond its bound, and has what was set last', () => {
    const map = new BoundedMap<number, number>(10);
    for (let key = 0; key < 1_000; key++) {
      map.set(key, key);
      expect(map.size).to.be.at.most(10);
      expect(map.get(key)).to.equal(key);
    }
    expect(map.get(0)).to.equal(undefined);
  });

  it('keeps what is used again and again', () => {
    const map = new BoundedMap<string, string>(10);
    map.set('used', 'still here');
    for (let key = 0; key < 1_000; key++) {
      map.set(`${key}`, '');
      expect(map.get('used')).to.equal('still here');
    }
  });
});
