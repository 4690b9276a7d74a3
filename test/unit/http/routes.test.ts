import { expect } from 'chai';
import { cleanedPath, type Route, RouteTable, routeName } from '../../../src/http/routes.ts';

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

describe('RouteTable', () => {
  const route = (name: string): Route => ({ name, methods: ['GET'], handler: async () => undefined });
  const table = new RouteTable(
    new Map([['/r', route('all')]]),
    [{ prefix: '/r/', suffix: '/values', route: route('values') }],
    [{ prefix: '/r/', routes: [route('one'), route('two')] }],
  );
  const cases: readonly (readonly [path: string, wanted: string | undefined, ...names: string[]])[] = [
    ['/r', 'all'],
    ['/r/a', 'one', 'a'],
    ['/r/a%2Fb%20c', 'one', 'a/b c'],
    ['/r/a/b', 'two', 'a', 'b'],
    ['/r/a/values', 'values'],
    ['/r/', undefined],
    ['/r/a/', undefined],
    ['/r/a/b/c', undefined],
    ['/r/%/b', undefined],
    ['/x/a', undefined],
  ];
  for (const [path, wanted, ...names] of cases) {
    it(`${path} is ${wanted}, with names ${names.join(' and ') || 'none'}`, () => {
      const match = table.match(path);
      expect(match?.route.name).to.equal(wanted);
      expect(match?.names ?? []).to.deep.equal(names);
    });
  }
});
