import { parseMatchers } from '../logql/parser.ts';
import type { RingStatus } from '../member/cluster-services.ts';
import { RefusedError } from '../protocol/refusal.ts';
import { type EdgeOptions, tenantHeader } from './edge-options.ts';
import type { Handler } from './routes.ts';

/** Questions about the cluster. A node alone answers 404: it has no ring. */
export class ClusterHandlers {
  readonly #options: EdgeOptions;

  constructor(options: EdgeOptions) {
    this.#options = options;
  }

  readonly ring: Handler = async ({ reply }) => {
    const services = this.#options.cluster;
    if (!services) await reply.text(404, NO_CLUSTER);
    else await reply.json(200, JSON.stringify(await services.ring()));
  };

  /** For people; programs ask for JSON. */
  readonly ringPage: Handler = async ({ request, reply }) => {
    const services = this.#options.cluster;
    if (!services) return await reply.text(404, NO_CLUSTER);
    const status = await services.ring();
    if (String(request.headers.accept ?? '').includes('application/json')) {
      return await reply.json(200, JSON.stringify(status));
    }
    await reply.text(200, ringPage(status), 'text/html; charset=utf-8');
  };

  readonly drain: Handler = async ({ reply }) => {
    const services = this.#options.cluster;
    if (!services) return await reply.text(404, NO_CLUSTER);
    services.drain();
    await reply.text(202, 'draining\n');
  };

  readonly weight: Handler = async ({ reply, search }) => {
    const services = this.#options.cluster;
    if (!services) return await reply.text(404, NO_CLUSTER);
    await services.setWeight(Number(search.get('weight') ?? Number.NaN));
    await reply.empty(204);
  };

  readonly stream: Handler = async ({ request, reply, search }) => {
    const services = this.#options.cluster;
    if (!services) return await reply.text(404, NO_CLUSTER);
    const tenant = this.#options.tenantOf(tenantHeader(request.headers));
    const query = search.get('query');
    if (query === null) throw new RefusedError({ code: 'BAD_REQUEST', text: 'query: want a stream selector' });
    await reply.json(
      200,
      JSON.stringify(await services.streams(tenant, parseMatchers(query, { mayBeUnselective: true }))),
    );
  };
}

const NO_CLUSTER = 'this node is not a member of a cluster\n';

const COLUMNS = [
  'node',
  'state',
  'zone',
  'owns',
  'streams',
  'unflushed',
  'in its log',
  'moving',
  'lingering',
  'address',
];

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const ringPage = ({ changedAt, nodes, missing }: RingStatus): string => {
  const rows = nodes.map(({ nodeId, state, zone, ownership, figures, httpAddress }) => [
    nodeId,
    figures ? state : `${state}, does not answer`,
    zone,
    `${(100 * ownership).toFixed(1)} %`,
    ...(figures
      ? [figures.streams, figures.unflushedBytes, figures.loggedSegments, figures.moving, figures.lingering]
      : ['', '', '', '', '']),
    httpAddress,
  ]);
  const cells = (row: readonly (string | number)[]): string =>
    row.map((cell) => `<td>${escaped(String(cell))}</td>`).join('');
  return `<!doctype html><html lang="en"><head><title>ringlog ring</title><meta http-equiv="refresh" content="2">
<style>body{font:14px sans-serif;margin:2em}td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #ddd}</style></head>
<body><h1>Ring</h1><p>View ${changedAt}</p>
<table><tr>${COLUMNS.map((name) => `<th>${name}</th>`).join('')}</tr>
${rows.map((row) => `<tr>${cells(row)}</tr>`).join('\n')}</table>
${missing.map(({ nodeId }) => `<p><b>${escaped(nodeId)} left with unflushed entries on its disk: start it again.</b></p>`).join('')}
</body></html>`;
};
