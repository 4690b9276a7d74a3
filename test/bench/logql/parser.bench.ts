import { bench, group, do_not_optimize as keep } from 'mitata';
import { parseExpr } from '../../../src/logql/parser.ts';
import { printExpr } from '../../../src/logql/print.ts';

const QUERIES = {
  'a selector': '{app="web", env="prod"}',
  'a dashboard query':
    'sum by (app, level) (rate({app="web", env=~"prod|dev"} |= "error" != "debug" | json | status >= 500 and took > 1s [5m]))',
  'a large query':
    'topk(5, sum by (app) (count_over_time({app=~".+"} |~ "x.*y" | logfmt | line_format "{{.a}}" | label_format b=c [1h]))) ' +
    '/ on (app) group_left sum by (app) (rate({env="prod"} | regexp "(?P<size>[0-9]+)" | unwrap size [5m])) > 0.5',
};

/** Budget: under 100 µs for a typical query. */
export const registerBenches = (): void => {
  group('LogQL text and tree', () => {
    for (const [what, query] of Object.entries(QUERIES)) {
      const expr = parseExpr(query);
      bench(`parse ${what}`, () => keep(parseExpr(query)));
      bench(`print ${what}`, () => keep(printExpr(expr)));
    }
  });
};
