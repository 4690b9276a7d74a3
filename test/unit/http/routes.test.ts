import { expect } from 'chai';
import { cleanedPath, routeName } from '../../../src/http/routes.ts';

describe('cleanedPath', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['/', '/'],
    ['//', '/'],
    ['//ready', '/ready'],
    ['/a/./b/../c', '/a/c'],
    ['/../..', '/'],
    ['/a//b/', '/a/b/'],
    ['/loki/api/v1/label/a%2Fb/values', '/loki/api/v1/label/a%2Fb/values'],
  ];
  for (const [path, cleaned] of cases) it(`${path} is ${cleaned}`, () => expect(cleanedPath(path)).to.equal(cleaned));
});

describe('routeName', () => {
  it('is the path with underscores', () => expect(routeName('/loki/api/v1/push')).to.equal('loki_api_v1_push'));
});
