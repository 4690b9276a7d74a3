import { bench, do_not_optimize, group } from 'mitata';
import { Ring } from '../../../src/cluster/ring.ts';
import { streamKey } from '../../../src/cluster/stream-key.ts';
import { labelSetOf } from '../../../src/protocol/label-text.ts';
import { memberOf } from '../../unit/cluster/members.ts';
import { sized } from '../bench-size.ts';

const MEMBERS = sized(50, 3);

/** The ring of 50 nodes in 3 zones: owner under 1 µs. */
export const registerBenches = (): void => {
  const members = Array.from({ length: MEMBERS }, (_, index) =>
    memberOf(`node-${index}`, { zone: `zone-${index % 3}` }),
  );
  const ring = new Ring({ members });
  // Too many for the tokens they touch to stay in the cache all by themselves.
  const keys = Uint32Array.from({ length: 65_536 }, (_, index) => Math.imul(index, 2_654_435_761) >>> 0);
  let at = 0;
  const nextKey = (): number => {
    at = (at + 1) & 65_535;
    return keys[at] ?? 0;
  };
  const labels = labelSetOf([
    'app',
    'web',
    'env',
    'prod',
    'host',
    'node-7',
    'namespace',
    'default',
    'pod',
    'web-5f5c7d8',
  ]);
  let strangers = 0;
  const longest = (): number => {
    strangers += 1;
    const steps = ring.next({ members: [...members, memberOf(`stranger-${strangers}`)] });
    for (let ms = 0; ; ) {
      const began = performance.now();
      const { done } = steps.next();
      ms = Math.max(ms, performance.now() - began);
      if (done) return ms;
    }
  };
  const steps = Array.from({ length: sized(21, 3) }, longest).sort((a, b) => a - b);
  console.log(
    `longest step of a ring with a node that nobody knew (median of ${steps.length}): ${steps[steps.length >> 1]?.toFixed(1)} ms`,
  );
  group(`ring of ${MEMBERS} nodes`, () => {
    bench('owner', () => do_not_optimize(ring.owner(nextKey())));
    bench('preference list of 3', () => do_not_optimize(ring.preference(nextKey(), 3)));
    bench('key of a stream', () => do_not_optimize(streamKey('tenant-a', labels.canonical)));
    bench('a new ring, tokens cached', () => do_not_optimize(new Ring({ members })));
  });
};
