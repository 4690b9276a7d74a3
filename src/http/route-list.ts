import type { NodeServices } from '../actors/node-services.ts';
import { AdminHandlers } from './admin.ts';
import { ClusterHandlers } from './cluster-admin.ts';
import { DeleteHandlers } from './deletes.ts';
import type { EdgeState } from './form.ts';
import { MetadataHandlers } from './metadata.ts';
import { PushHandlers } from './push.ts';
import { QueryHandlers } from './query.ts';
import { type Handler, type Route, RouteTable, routeName } from './routes.ts';

const GET = ['GET'];
const POST = ['POST'];
const GET_POST = ['GET', 'POST'];
const DELETES = ['GET', 'POST', 'PUT', 'DELETE'];

export const TAIL_PATHS: ReadonlySet<string> = new Set(['/loki/api/v1/tail']);

/** Answered while the node starts, too. */
const ALWAYS_OPEN: ReadonlySet<string> = new Set(['/ready', '/metrics', '/config', '/services', '/log_level']);

const notAnUpgrade: Handler = ({ reply }) => reply.text(400, 'Bad Request\n');

/** Every path of the API, with the name its metrics have. */
export const buildRoutes = (services: NodeServices, state: EdgeState): RouteTable => {
  const push = new PushHandlers(services, state);
  const query = new QueryHandlers(services, state);
  const metadata = new MetadataHandlers(services, state);
  const admin = new AdminHandlers(services, state);
  const routes = new Map<string, Route>();
  const add = (path: string, methods: readonly string[], handler: Handler, isPush = false): void => {
    routes.set(path, { name: routeName(path), methods, handler, isPush, isAlwaysOpen: ALWAYS_OPEN.has(path) });
  };
  add('/loki/api/v1/push', POST, push.push, true);
  add('/api/prom/push', POST, push.legacyPush, true);
  add('/loki/api/v1/query', GET_POST, query.instant);
  add('/loki/api/v1/query_range', GET_POST, query.range);
  add('/loki/api/v1/labels', GET_POST, metadata.labelNames);
  add('/loki/api/v1/label', GET_POST, metadata.labelNames);
  add('/loki/api/v1/series', GET_POST, metadata.series);
  add('/loki/api/v1/format_query', GET_POST, admin.formatQuery);
  add('/loki/api/v1/status/buildinfo', GET, admin.buildInfo);
  for (const path of TAIL_PATHS) add(path, GET, notAnUpgrade);
  if (services.deletes) {
    const { handle } = new DeleteHandlers(services.deletes, state);
    add('/loki/api/v1/delete', DELETES, handle);
  }
  const cluster = new ClusterHandlers(state.options);
  add('/ring', GET, cluster.ringPage);
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
  return new RouteTable(routes, {
    name: 'loki_api_v1_label_name_values',
    methods: GET_POST,
    handler: metadata.labelValues,
  });
};
