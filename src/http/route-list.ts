import type { NodeServices } from '../actors/node-services.ts';
import { AdminHandlers } from './admin.ts';
import { ClusterHandlers } from './cluster-admin.ts';
import { DeleteHandlers } from './deletes.ts';
import { DiscoveryHandlers } from './discovery.ts';
import type { EdgeState } from './form.ts';
import { MetadataHandlers } from './metadata.ts';
import { LimitsHandlers } from './published-limits.ts';
import { PushHandlers } from './push.ts';
import { QueryHandlers } from './query.ts';
import { type Handler, type NamedRoute, type NamesRoute, type Route, RouteTable, routeName } from './routes.ts';
import { RulesHandlers } from './rules.ts';
import { VolumeHandlers } from './volume.ts';

const GET = ['GET'];
const POST = ['POST'];
const GET_POST = ['GET', 'POST'];
const DELETES = ['GET', 'POST', 'PUT', 'DELETE'];

/** Its frames have the shape of Loki's first API. */
export const LEGACY_TAIL_PATH = '/api/prom/tail';
export const TAIL_PATHS: ReadonlySet<string> = new Set(['/loki/api/v1/tail', LEGACY_TAIL_PATH]);

/** Answered while the node starts, too. */
const ALWAYS_OPEN: ReadonlySet<string> = new Set(['/ready', '/metrics', '/config', '/services', '/log_level']);

const notAnUpgrade: Handler = ({ reply }) => reply.text(400, 'Bad Request\n');

/** Every path of the API, with the name its metrics have. */
export const buildRoutes = (services: NodeServices, state: EdgeState): RouteTable => {
  const push = new PushHandlers(services, state);
  const query = new QueryHandlers(services, state);
  const metadata = new MetadataHandlers(services, state);
  const volume = new VolumeHandlers(services, state);
  const discovery = new DiscoveryHandlers(services, state);
  const limits = new LimitsHandlers(state);
  const admin = new AdminHandlers(services, state);
  const routes = new Map<string, Route>();
  const add = (path: string, methods: readonly string[], handler: Handler, isPush = false): void => {
    routes.set(path, { name: routeName(path), methods, handler, isPush, isAlwaysOpen: ALWAYS_OPEN.has(path) });
  };
  add('/loki/api/v1/push', POST, push.push, true);
  add('/api/prom/push', POST, push.legacyPush, true);
  add('/otlp/v1/logs', POST, push.otlp, true);
  add('/loki/api/v1/query', GET_POST, query.instant);
  add('/loki/api/v1/query_range', GET_POST, query.range);
  add('/loki/api/v1/labels', GET_POST, metadata.labelNames);
  add('/loki/api/v1/label', GET_POST, metadata.labelNames);
  add('/loki/api/v1/series', GET_POST, metadata.series);
  add('/api/prom/query', GET_POST, query.legacy);
  add('/api/prom/label', GET_POST, metadata.legacyLabelNames);
  add('/api/prom/series', GET_POST, metadata.series);
  add('/loki/api/v1/index/stats', GET_POST, volume.stats);
  add('/loki/api/v1/index/shards', GET_POST, volume.shards);
  add('/loki/api/v1/index/volume', GET_POST, volume.volume);
  add('/loki/api/v1/index/volume_range', GET_POST, volume.volumeRange);
  add('/loki/api/v1/detected_labels', GET_POST, discovery.labels);
  add('/loki/api/v1/detected_fields', GET_POST, discovery.fields);
  add('/loki/api/v1/patterns', GET_POST, discovery.patterns);
  add('/loki/api/v1/drilldown-limits', GET, limits.drilldown);
  add('/config/tenant/v1/limits', GET, limits.tenant);
  add('/loki/api/v1/format_query', GET_POST, admin.formatQuery);
  add('/loki/api/v1/status/buildinfo', GET, admin.buildInfo);
  for (const path of TAIL_PATHS) add(path, GET, notAnUpgrade);
  if (services.deletes) {
    const { handle } = new DeleteHandlers(services.deletes, state);
    add('/loki/api/v1/delete', DELETES, handle);
  }
  const rules = services.rules && new RulesHandlers(services.rules, state);
  if (rules) {
    for (const path of RULES_PATHS) add(path, GET, rules.all);
    add('/prometheus/api/v1/rules', GET, rules.prometheusRules);
    add('/prometheus/api/v1/alerts', GET, rules.prometheusAlerts);
  }
  const cluster = new ClusterHandlers(state.options);
  for (const path of RING_PATHS) add(path, GET, cluster.ringPage);
  add('/ringlog/v1/ring', GET, cluster.ring);
  add('/ringlog/v1/stream', GET, cluster.stream);
  add('/ringlog/v1/drain', POST, cluster.drain);
  add('/ringlog/v1/weight', POST, cluster.weight);
  add('/ready', GET, admin.ready);
  add('/metrics', GET, admin.metrics);
  add('/flush', GET_POST, admin.flush);
  add('/config', GET, admin.config);
  add('/services', GET, admin.services);
  add('/log_level', GET_POST, admin.logLevel);
  const named = [
    valuesRoute('/loki/api/v1/label', metadata.labelValues),
    valuesRoute('/api/prom/label', metadata.legacyLabelValues),
    valuesRoute('/loki/api/v1/detected_field', discovery.fieldValues),
  ];
  return new RouteTable(routes, named, rules ? RULES_PATHS.map((path) => rulesRoute(path, rules)) : []);
};

/** Loki has a ring of each component; here one ring says who does what of all of them. */
const RING_PATHS = [
  '/ring',
  '/distributor/ring',
  '/compactor/ring',
  '/ruler/ring',
  '/indexgateway/ring',
  '/scheduler/ring',
];

const RULES_PATHS = ['/loki/api/v1/rules', '/api/prom/rules'];

const rulesRoute = (path: string, rules: RulesHandlers): NamesRoute => {
  const name = `${routeName(path)}_namespace`;
  return {
    prefix: `${path}/`,
    routes: [
      { name, methods: ['GET', 'POST', 'DELETE'], handler: rules.namespace },
      { name: `${name}_groupname`, methods: ['GET', 'DELETE'], handler: rules.group },
    ],
  };
};

const valuesRoute = (path: string, handler: Handler): NamedRoute => ({
  prefix: `${path}/`,
  suffix: '/values',
  route: { name: `${routeName(path)}_name_values`, methods: GET_POST, handler },
});
