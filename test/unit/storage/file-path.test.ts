import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { keyOfPath, pathOfKey } from '../../../src/storage/file-path.ts';

const numRuns = Number(process.env['PROPERTY_RUNS'] ?? 1_000);

describe('file paths of object keys', () => {
  it('are the keys themselves for what chunks are called', () => {
    for (const key of ["tenant-a_!.*'()/85ad/187:187:7", 'fake/85ad:187:187:7299a721']) {
      expect(pathOfKey(key)).to.equal(key);
    }
  });

  it('spell out what a file system would take for something else', () => {
    expect(pathOfKey('..')).to.equal('%2E.');
    expect(pathOfKey('../a')).to.equal('%2E./a');
    expect(pathOfKey('.tmp')).to.equal('%2Etmp');
    expect(pathOfKey('a//b')).to.equal('a/%/b');
    expect(pathOfKey('a%2Fb\0')).to.equal('a%252Fb%00');
    expect(pathOfKey('ü\udcff')).to.equal('%C3%BC%FF');
  });

  it('go on in a folder where a name would be too long', () => {
    const parts = pathOfKey(`${'n'.repeat(500)}/x`).split('/');
    expect(parts.map((part) => part.length)).to.deep.equal([240, 240, 24, 1]);
  });

  it('lead back to their keys, stay inside, and are names a file system takes', function () {
    this.timeout(10_000 + numRuns * 20);
    const keys = fc
      .oneof(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 120 }),
        fc.string({ unit: fc.constantFrom('.', '/', '%', '-', 'a', '2', 'E', '\0'), minLength: 1, maxLength: 600 }),
      )
      .filter((key) => Buffer.byteLength(key) <= 1_024);
    fc.assert(
      fc.property(keys, (key) => {
        const file = pathOfKey(key);
        expect(keyOfPath(file)).to.equal(key);
        expect(path.posix.normalize(`/root/${file}`)).to.equal(`/root/${file}`);
        for (const part of file.split('/')) {
          expect(part).to.match(/^[A-Za-z0-9!_*'():%-][A-Za-z0-9!_.*'():%-]*$/);
          expect(part.length).to.be.at.most(240);
        }
      }),
      { numRuns },
    );
  });

  it('are none for paths that no key has', () => {
    for (const file of ['.tmp/x', 'a/.', '%zz', '%2e.', 'a%', '%41', `${'n'.repeat(300)}`]) {
      expect(keyOfPath(file), file).to.equal(undefined);
    }
  });

  it('are none for keys that are empty or beyond 1 KiB', () => {
    expect(() => pathOfKey('')).to.throw(RefusedError, 'object key of 0 bytes: want 1 to 1024');
    expect(() => pathOfKey('ü'.repeat(513))).to.throw(RefusedError, 'object key of 1026 bytes: want 1 to 1024');
    expect(pathOfKey('ü'.repeat(512))).to.have.length.greaterThan(3_000);
  });
});
