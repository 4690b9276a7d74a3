import path from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { RefusedError } from '../../../src/protocol/refusal.ts';
import { keyOfPath, pathOfKey } from '../../../src/storage/file-path.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

describe('file paths of object keys', () => {
  it('put chunks of a tenant into a folder for each 2^24 ms of their first times', () => {
    const file = '85ad393dc21324c,187702fedd0:187703aa510:7299a721';
    expect(pathOfKey('tenant-a/85ad393dc21324c/187702fedd0:187703aa510:7299a721')).to.equal(`tenant-a/18770/${file}`);
    expect(pathOfKey('tenant-a/85ad:187702fedd0:187703aa510:7')).to.equal(
      'tenant-a/18770/85ad:187702fedd0:187703aa510:7',
    );
    expect(pathOfKey('t/85ad/ffffff:1000000:7')).to.equal('t/0/85ad,ffffff:1000000:7');
    expect(pathOfKey('t/85ad/1000000:1000000:7')).to.equal('t/1/85ad,1000000:1000000:7');
    expect(pathOfKey('t/85ad/-1000001:2:7')).to.equal('t/-1/85ad,-1000001:2:7');
  });

  it('keep other keys of a tenant in one folder, and keys without a tenant on top', () => {
    expect(pathOfKey("tenant-a_!.*'()/a:b")).to.equal("tenant-a_!.*'()/_/a:b");
    expect(pathOfKey('alone')).to.equal('alone');
  });

  it('spell out what a file system would take for something else', () => {
    expect(pathOfKey('..')).to.equal('%2E.');
    expect(pathOfKey('../a')).to.equal('%2E./_/a');
    expect(pathOfKey('.tmp')).to.equal('%2Etmp');
    expect(pathOfKey('a//b')).to.equal('a/_/%,b');
    expect(pathOfKey('a%2Fb\0')).to.equal('a%252Fb%00');
    expect(pathOfKey('a/b,c/d')).to.equal('a/_/b%2Cc,d');
    expect(pathOfKey('ü\udcff')).to.equal('%C3%BC%FF');
  });

  it('go on in a folder where a name would be too long', () => {
    const parts = pathOfKey(`${'n'.repeat(500)}/x`).split('/');
    expect(parts.map((part) => part.length)).to.deep.equal([240, 240, 24, 1, 1]);
  });

  it('lead back to their keys, stay inside, and are names a file system takes', function () {
    this.timeout(PROPERTY_TIMEOUT_MS);
    const keys = fc
      .oneof(
        fc.string({ unit: 'binary', minLength: 1, maxLength: 120 }),
        fc.string({ unit: fc.constantFrom(...'./%-,_:aa2E\0'), minLength: 1, maxLength: 600 }),
        fc.stringMatching(/^[t./-]{0,3}\/[0-9a-f]{1,4}[/:]-?[0-9a-f]{1,12}:[0-9a-f]{1,3}:7$/),
      )
      .filter((key) => Buffer.byteLength(key) <= 1_024);
    fc.assert(
      fc.property(keys, (key) => {
        const file = pathOfKey(key);
        expect(keyOfPath(file)).to.equal(key);
        expect(path.posix.normalize(`/root/${file}`)).to.equal(`/root/${file}`);
        for (const part of file.split('/')) {
          expect(part).to.match(/^[A-Za-z0-9!_*'():%-][A-Za-z0-9!_.*'():%,-]*$/);
          expect(part.length).to.be.at.most(240);
        }
      }),
      { numRuns: propertyRuns(2) },
    );
  });

  it('are none for paths that no key has', () => {
    for (const file of [
      '.tmp/x',
      'a/.',
      'a/b',
      'a/b/c/d',
      'a/0/1,1000000:1:1',
      '%zz',
      '%2e.',
      'a%',
      '%41',
      `${'n'.repeat(300)}`,
    ]) {
      expect(keyOfPath(file), file).to.equal(undefined);
    }
  });

  it('are none for keys that are empty or beyond 1 KiB', () => {
    expect(() => pathOfKey('')).to.throw(RefusedError, 'object key of 0 bytes: want 1 to 1024');
    expect(() => pathOfKey('ü'.repeat(513))).to.throw(RefusedError, 'object key of 1026 bytes: want 1 to 1024');
    expect(pathOfKey('ü'.repeat(512))).to.have.length.greaterThan(3_000);
  });
});
