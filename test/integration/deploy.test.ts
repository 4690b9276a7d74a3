import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { request } from 'undici';
import { parse as parseYaml } from 'yaml';
import { type Config, loadConfig } from '../../src/config.ts';
import { parseListenAddress } from '../../src/config-values.ts';
import { GcsChunkStore } from '../../src/storage/gcs-chunk-store.ts';
import { systemClock } from '../../src/system-clock.ts';
import { GcsServer } from '../support/gcs/gcs-server.ts';
import { type Manifest, manifestProblems, manifestsIn, parseManifests } from '../support/manifests.ts';
import { TestServer } from './http/test-server.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const CHART = path.join(ROOT, 'deploy/helm/ringlog');
const run = promisify(execFile);
const read = (name: string): Promise<string> => readFile(path.join(ROOT, name), 'utf8');

/** What the checks look at; that manifests have these shapes is what Kubernetes' models check. */
interface Container {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: object }[];
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly securityContext: object;
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
  readonly [probe: `${string}Probe`]: { readonly httpGet: { readonly path: string; readonly port: string } };
}

interface StatefulSetSpec {
  readonly serviceName: string;
  readonly replicas: number;
  readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
  readonly template: {
    readonly metadata: { readonly labels: Readonly<Record<string, string>> };
    readonly spec: {
      readonly enableServiceLinks: boolean;
      readonly terminationGracePeriodSeconds: number;
      readonly securityContext: { readonly runAsUser: number };
      readonly containers: readonly [Container];
    };
  };
  readonly volumeClaimTemplates: readonly { readonly metadata: { readonly name: string } }[];
}

interface ServiceSpec {
  readonly clusterIP?: string;
  readonly publishNotReadyAddresses?: boolean;
  readonly selector: Readonly<Record<string, string>>;
  readonly ports: readonly { readonly name: string; readonly port: number; readonly targetPort: string }[];
}

const named = <Spec>(manifests: readonly Manifest[], kind: string, name: string): Spec => {
  const found = manifests.find((one) => one.kind === kind && one.metadata.name === name);
  if (!found) throw new Error(`no ${kind} ${name}`);
  return found['spec'] as Spec;
};

const isSelected = (selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

/** Every service finds pods, at ports that they name; every set has the service that names its pods. */
const expectConnected = (manifests: readonly Manifest[]): void => {
  const sets = manifests.filter(({ kind }) => kind === 'StatefulSet').map(({ spec }) => spec as StatefulSetSpec);
  for (const { metadata, spec } of manifests.filter(({ kind }) => kind === 'Service')) {
    const { selector, ports } = spec as ServiceSpec;
    const behind = sets.filter(({ template }) => isSelected(selector, template.metadata.labels));
    expect(behind, metadata.name).to.have.length(1);
    const known = behind[0]?.template.spec.containers[0].ports.map(({ name }) => name);
    for (const { targetPort } of ports) expect(known, metadata.name).to.include(targetPort);
  }
  for (const { serviceName, selector, template, volumeClaimTemplates } of sets) {
    expect(isSelected(selector.matchLabels, template.metadata.labels)).to.equal(true);
    const service = named<ServiceSpec>(manifests, 'Service', serviceName);
    expect(service).to.include({ clusterIP: 'None', publishNotReadyAddresses: true });
    const [container] = template.spec.containers;
    const mounts = container.volumeMounts.map(({ name }) => name);
    for (const { metadata } of volumeClaimTemplates) expect(mounts).to.include(metadata.name);
    expect(container.securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(template.spec.enableServiceLinks).to.equal(false);
  }
};

/** The environment of a pod, as Kubernetes makes it. */
const environmentOf = ({ env }: Container, pod: string): Record<string, string> => {
  const variables: Record<string, string> = {};
  for (const { name, value, valueFrom } of env) {
    if (valueFrom) expect(valueFrom).to.deep.equal({ fieldRef: { fieldPath: 'metadata.name' } });
    variables[name] = (value ?? pod).replace(/\$\((\w+)\)/g, (_, other: string) => variables[other] ?? '');
  }
  return variables;
};

const configOf = (manifests: readonly Manifest[], pod: string): Config => {
  const map = manifests.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'ringlog');
  const { 'ringlog.yaml': text = '' } = (map?.['data'] ?? {}) as Readonly<Record<string, string>>;
  const [container] = named<StatefulSetSpec>(manifests, 'StatefulSet', 'ringlog').template.spec.containers;
  return loadConfig({ file: { name: 'ringlog.yaml', text }, env: environmentOf(container, pod) });
};

const helmBinary = (): string | undefined => {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean);
  return (
    process.env['RINGLOG_HELM'] ?? folders.map((folder) => path.join(folder, 'helm')).find((file) => existsSync(file))
  );
};

describe('the deployment', function () {
  this.timeout(60_000);
  let manifests: readonly Manifest[];
  let ringlog: StatefulSetSpec;
  let container: Container;

  before(async () => {
    manifests = await manifestsIn(path.join(ROOT, 'deploy/kubernetes'));
    ringlog = named(manifests, 'StatefulSet', 'ringlog');
    [container] = ringlog.template.spec.containers;
  });

  describe('to Kubernetes', () => {
    it('has manifests with the fields and values that Kubernetes knows', async () => {
      expect(manifests.length).to.be.greaterThan(8);
      expect(await manifestProblems(manifests)).to.deep.equal([]);
    });

    it('is checked so that a wrong field, value or kind is found', async () => {
      const wrong = (change: (text: string) => string): Promise<readonly string[]> =>
        manifestProblems(JSON.parse(change(JSON.stringify(manifests))) as Manifest[]);
      expect(await wrong((text) => text.replace('"readOnlyRootFilesystem"', '"readonlyRootFilesystem"'))).to.match(
        /readonlyRootFilesystem/,
      );
      expect(await wrong((text) => text.replace('"replicas":3', '"replicas":"3"'))).to.match(
        /replicas must be integer/,
      );
      expect(await wrong((text) => text.replace('"kind":"StatefulSet"', '"kind":"StatefulSets"'))).to.match(
        /no such kind/,
      );
    });

    it('connects services, pods, ports and volumes', () => expectConnected(manifests));

    it('gives each pod a configuration that ringlog takes, with a name of its own', () => {
      const configs = ['ringlog-0', 'ringlog-1'].map((pod) => configOf(manifests, pod));
      const names = configs.map(({ cluster }) => [cluster.node_id, cluster.advertise]);
      expect(names).to.deep.equal([
        ['ringlog-0', 'ringlog-0.ringlog-peers.ringlog.svc:9195'],
        ['ringlog-1', 'ringlog-1.ringlog-peers.ringlog.svc:9195'],
      ]);
      expect(container.args).to.deep.equal(['serve', '--config', '/etc/ringlog/ringlog.yaml']);
    });

    it('has the ports, the folder and the members’ store of its configuration', () => {
      const { http_listen, grpc_listen, cluster, data_dir } = configOf(manifests, 'ringlog-0');
      const ports = Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]));
      const listens = { http: http_listen, grpc: grpc_listen, peer: cluster.listen };
      for (const [name, address] of Object.entries(listens)) {
        expect(parseListenAddress(address), name).to.deep.equal({ host: '0.0.0.0', port: ports[name] });
      }
      expect(container.volumeMounts.find(({ name }) => name === 'data')?.mountPath).to.equal(data_dir);
      const etcd = named<StatefulSetSpec>(manifests, 'StatefulSet', 'etcd');
      const port = etcd.template.spec.containers[0].ports.find(({ name }) => name === 'client')?.containerPort;
      const endpoints = Array.from({ length: etcd.replicas }, (_, at) => `http://etcd-${at}.etcd.ringlog.svc:${port}`);
      expect(cluster.membership.etcd_endpoints).to.deep.equal(endpoints);
    });

    it('leaves a node the time that a drain may take', () => {
      const { server } = configOf(manifests, 'ringlog-0');
      const pause = Number(container.lifecycle?.preStop.exec.command[1]);
      // 5 s is what closing takes when everything else took all the time: src/serve.ts.
      const needed = pause + server.graceful_shutdown_timeout / 1000 + 5;
      expect(ringlog.template.spec.terminationGracePeriodSeconds).to.be.at.least(needed);
    });

    it('keeps the variables of services from a node, which would take them for settings', () => {
      expect(() => loadConfig({ env: { RINGLOG_SERVICE_HOST: '10.0.0.1' } })).to.throw(
        'RINGLOG_SERVICE_HOST: no such setting',
      );
    });

    it('asks for paths that a node serves', async () => {
      const server = await TestServer.start();
      try {
        const probes = ['startupProbe', 'readinessProbe', 'livenessProbe'] as const;
        for (const { path: asked, port } of probes.map(
          (probe) => container[probe]?.httpGet ?? { path: '', port: '' },
        )) {
          expect(port).to.equal('http');
          const { statusCode, body } = await request(`http://${server.http}${asked}`);
          await body.dump();
          expect(statusCode, asked).to.equal(200);
        }
      } finally {
        await server.stop();
      }
    });
  });

  describe('to Google Cloud', () => {
    it('shows the configuration that the manifests have', async () => {
      const shown = loadConfig({ file: { name: 'ringlog.yaml', text: await read('deploy/gcp/ringlog.yaml') } });
      const { cluster, ...rest } = configOf(manifests, 'ringlog-0');
      const { cluster: shownCluster, ...shownRest } = shown;
      const comparable = ({ limits: _, ...config }: Omit<Config, 'cluster'>) => config;
      expect(comparable(shownRest)).to.deep.equal(comparable(rest));
      expect({ ...shownCluster, node_id: '', advertise: '' }).to.deep.equal({ ...cluster, node_id: '', advertise: '' });
    });

    const permissionsIn = async (name: string): Promise<readonly string[]> =>
      (parseYaml(await read(`deploy/gcp/${name}`)) as { includedPermissions: string[] }).includedPermissions;

    it('grants what a node asks the bucket for, and no more', async () => {
      const server = await GcsServer.start({ permissions: [] });
      const deps = { clock: systemClock, chance: () => 0 };
      const opening = GcsChunkStore.open({ bucket: 'chunks', endpoint: server.url }, deps);
      const { message } = await opening.then(
        () => new Error('it was opened'),
        (error: Error) => error,
      );
      await server.close();
      expect((message.match(/storage\.objects\.\w+/g) ?? []).sort()).to.deep.equal(
        await permissionsIn('role-chunks.yaml'),
      );
    });

    it('grants what a node calls Bigtable for, and no more', async () => {
      const sources = await readdir(path.join(ROOT, 'src/storage'));
      const texts = await Promise.all(
        sources.filter((name) => name.startsWith('bigtable-')).map((name) => read(`src/storage/${name}`)),
      );
      const rpcs = new Set(
        texts
          .join('\n')
          .match(/(?<=')(ReadRows|MutateRows?|CheckAndMutateRow|SampleRowKeys|ReadModifyWriteRow|PingAndWarm)(?=')/g),
      );
      const data = Array.from(rpcs, (rpc) => `bigtable.tables.${rpc.charAt(0).toLowerCase()}${rpc.slice(1)}`);
      expect(data).to.not.be.empty;
      const admin = ['create', 'delete', 'get', 'list'].map((call) => `bigtable.tables.${call}`);
      expect([...data, ...admin].sort()).to.deep.equal(await permissionsIn('role-index.yaml'));
    });
  });

  describe('as an image', () => {
    let dockerfile: string;
    before(async () => {
      dockerfile = await read('deploy/Dockerfile');
    });

    it('is built of files that are there and that the build is let see', async () => {
      const seen = (await read('deploy/Dockerfile.dockerignore')).split('\n').filter((line) => line.startsWith('!'));
      const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, names = '']) =>
        names.split(' '),
      );
      expect(sources.length).to.be.at.least(6);
      for (const name of sources) {
        expect(existsSync(path.join(ROOT, name)), name).to.equal(true);
        expect(seen).to.include(`!${name}`);
      }
    });

    it('runs as the user of the manifests, on a version of Node that ringlog takes', () => {
      const user = ringlog.template.spec.securityContext.runAsUser;
      expect(dockerfile).to.include(`USER ${user}:${user}\n`);
      expect(new Set(dockerfile.match(/^FROM node:\d+-\w+/gm))).to.deep.equal(new Set(['FROM node:20-bookworm']));
    });
  });

  describe('by Helm', () => {
    let helm: string;
    before(function () {
      const found = helmBinary();
      if (found === undefined) {
        process.stdout.write(
          'tests of the chart are skipped: there is no helm on the PATH, nor named by RINGLOG_HELM\n',
        );
        this.skip();
      }
      helm = found as string;
    });

    const render = async (...settings: readonly string[]): Promise<string> => {
      const args = ['template', 'ringlog', CHART, '--namespace', 'ringlog', ...settings];
      return (await run(helm, args)).stdout;
    };

    it('is what the manifests are', async () => {
      expect(await render()).to.equal(await read('deploy/kubernetes/ringlog.yaml'));
    });

    it('has manifests that Kubernetes knows, with everything switched on', async () => {
      const yaml = await render(
        ...['--set', 'networkPolicy.enabled=true', '--set', 'serviceMonitor.enabled=true'],
        ...['--set', 'serviceMonitor.labels.release=prometheus', '--set', 'peerTlsSecret=peers'],
        ...['--set', 'networkPolicy.clients[0].namespaceSelector.matchLabels.name=agents'],
        ...['--set', 'serviceAccount.annotations.iam\\.gke\\.io/gcp-service-account=ringlog@p.iam.gserviceaccount.com'],
        ...['--set', 'storage.className=premium-rwo', '--set', 'podAnnotations.a=b', '--set', 'priorityClassName=high'],
        ...[
          '--set',
          'imagePullSecrets[0].name=s',
          '--set',
          'nodeSelector.pool=logs',
          '--set',
          'tolerations[0].key=logs',
        ],
      );
      const all = parseManifests(yaml);
      expect(all.map(({ kind }) => kind)).to.include.members(['NetworkPolicy', 'ServiceMonitor']);
      expect(await manifestProblems(all)).to.deep.equal([]);
      expectConnected(all);
      expect(configOf(all, 'ringlog-0').cluster.tls).to.include({ ca_file: '/etc/ringlog-tls/ca.crt' });
    });
  });
});
