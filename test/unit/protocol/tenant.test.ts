import { expect } from 'chai';
import { resolveTenant, resolveTenants } from '../../../src/protocol/tenant.ts';
import { refusalOf } from './pushes.ts';

describe('resolveTenant', () => {
  it('is "fake" for everybody without authentication, whatever the header says', () => {
    expect([resolveTenant(undefined, false), resolveTenant('a/b', false)]).to.deep.equal(['fake', 'fake']);
  });

  it('is the header with authentication', () => {
    for (const tenant of ['a', "A-z_0.9!*'()", 'x'.repeat(150), '...'])
      expect(resolveTenant(tenant, true)).to.equal(tenant);
    expect(resolveTenant('a|a|', true)).to.equal('a');
    expect(resolveTenants('b|a|b', true)).to.equal('a|b');
  });

  const refused: readonly (readonly [string | undefined, string])[] = [
    [undefined, 'NO_TENANT: no org id'],
    ['', 'NO_TENANT: no org id'],
    ['|', 'NO_TENANT: no org id'],
    ['a/b', "BAD_REQUEST: tenant ID 'a/b' contains unsupported character '/'"],
    ['a, b', "BAD_REQUEST: tenant ID 'a, b' contains unsupported character ','"],
    ['x'.repeat(151), 'BAD_REQUEST: tenant ID is too long: max 150 characters'],
    ['.', "BAD_REQUEST: tenant ID is '.' or '..'"],
    ['..', "BAD_REQUEST: tenant ID is '.' or '..'"],
    ['a|b', 'BAD_REQUEST: multiple org IDs present'],
  ];
  for (const [header, refusal] of refused) {
    it(`refuses ${JSON.stringify(header)?.slice(0, 20)}`, async () => {
      expect(await refusalOf(() => resolveTenant(header, true))).to.equal(refusal);
    });
  }
});
