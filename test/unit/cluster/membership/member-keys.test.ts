import { expect } from 'chai';
import { encodeMember, MemberKeys } from '../../../../src/cluster/membership/member-keys.ts';
import { memberOf } from '../members.ts';

const KEYS = new MemberKeys('ringlog');

describe('the value of a member', () => {
  const read = (value: string) =>
    KEYS.memberOf({ key: KEYS.member('a'), value, createRevision: 1, modRevision: 7 } as never);

  it('is read as it was written', () => {
    for (const fields of [{}, { evaluatesRules: true }, { evaluatesRules: false, zone: 'z' }]) {
      const member = memberOf('a', { ...fields, incarnation: 7 });
      const { evaluatesRules, ...others } = member;
      expect(read(encodeMember(member))).to.deep.equal(evaluatesRules ? member : others);
    }
  });

  it('of a version that has no rules is one that evaluates none, and what is said beyond is passed over', () => {
    const old = JSON.parse(encodeMember(memberOf('a', { incarnation: 7 })));
    expect(Object.keys(old)).to.not.include('evaluatesRules');
    expect(read(JSON.stringify({ ...old, later: 1 }))).to.deep.equal(memberOf('a', { incarnation: 7 }));
    expect(read(JSON.stringify({ ...old, evaluatesRules: 'yes' }))?.evaluatesRules).to.equal(undefined);
  });
});
