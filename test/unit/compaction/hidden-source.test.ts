import { expect } from 'chai';
import { DeleteRequests } from '../../../src/compaction/delete-requests.ts';
import { hiddenSource } from '../../../src/compaction/hidden-source.ts';
import { TenantWork } from '../../../src/compaction/tenant-work.ts';
import { readLimits } from '../../../src/protocol/limits.ts';
import { defaultSchemaConfig } from '../../../src/storage/schema-config.ts';
import { ManualClock } from '../../support/clock.ts';
import { MemoryIndexStore } from '../../support/stores/memory-index-store.ts';

const CHUNK = { tenant: 't', fingerprint: 1n, key: 'k', checksum: 1 };
const RANGE = { startNs: 2_000_000_000n, endNs: 3_000_000_000n };

describe('what is hidden of a tenant', () => {
  let requests: DeleteRequests;

  const hiddenWith = (limits: object, tenant = 't') =>
    hiddenSource({ requests, limits: readLimits(limits), clock: new ManualClock() })(tenant, RANGE);

  beforeEach(async () => {
    requests = new DeleteRequests(new MemoryIndexStore(), defaultSchemaConfig());
    const request = { tenant: 't', query: '{app="web"} |= "x"', createdMs: 9000 };
    await requests.add({ ...request, requestId: 'within', startMs: 0, endMs: 2000 });
    await requests.add({ ...request, requestId: 'later', startMs: 3001, endMs: 4000 });
    await requests.add({ ...request, requestId: 'processed', startMs: 3000, endMs: 4000 });
    const [processed] = (await requests.ofTenant('t')).filter(({ requestId }) => requestId === 'processed');
    await requests.markProcessed(processed!);
  });

  it('is what its requests name that touch the range, processed or not, where deletes only filter too', async () => {
    for (const mode of ['filter-and-delete', 'filter-only']) {
      const { deletes = [], retention } = (await hiddenWith({ deletion_mode: mode })) ?? {};
      expect(deletes.map(({ startNs, endNs }) => [startNs, endNs])).to.have.deep.members([
        [0n, 2_000_000_000n],
        [3_000_000_000n, 4_000_000_000n],
      ]);
      expect(retention).to.deep.equal([]);
    }
  });

  it('is not what cannot be read: the others are hidden all the same', async () => {
    for (const query of ['{app="web"} |~ "("', '{app="web"} | line_format "{{"', 'no selector']) {
      await requests.add({
        tenant: 't',
        query,
        createdMs: 9000,
        requestId: query.length.toString(),
        startMs: 0,
        endMs: 2500,
      });
    }
    const { deletes } = (await hiddenWith({})) ?? {};
    expect(deletes).to.have.lengthOf(2);
    expect(
      new TenantWork([], await requests.ofTenant('t'), 0).concerns({ ...CHUNK, fromMs: 2100, throughMs: 2400 }),
    ).to.equal(false);
  });

  it('may be known from a while ago, for who says so alone', async () => {
    const clock = new ManualClock();
    const hidden = hiddenSource({ requests, limits: readLimits({}), clock });
    const count = async (...ageMsMax: number[]): Promise<number | undefined> =>
      (await hidden('t', RANGE, ...ageMsMax))?.deletes.length;
    expect(await count(10_000)).to.equal(2);
    const request = { tenant: 't', query: '{app="api"}', createdMs: 9000, startMs: 0, endMs: 4000 };
    await requests.add({ ...request, requestId: 'new' });
    clock.advance(9_999);
    expect(await count(10_000)).to.equal(2);
    expect(await count()).to.equal(3);
    clock.advance(1);
    expect(await count(10_000)).to.equal(3);
  });

  it('is nothing where deletes are disabled, nor of other tenants', async () => {
    expect(await hiddenWith({ deletion_mode: 'disabled' })).to.equal(undefined);
    expect(await hiddenWith({}, 'other')).to.equal(undefined);
  });

  it('is what is past the retention as of now', async () => {
    const nowNs = BigInt(new ManualClock().nowMs()) * 1_000_000n;
    const { retention } = (await hiddenWith({ retention_period: '1h' }, 'other')) ?? {};
    expect(retention).to.deep.equal([{ matchers: [], keptFromNs: nowNs - 3_600_000_000_000n }]);
  });
});
