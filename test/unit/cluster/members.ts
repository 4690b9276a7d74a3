import type { Member } from '../../../src/cluster/view.ts';

/** An ACTIVE member of weight 1 without a zone. */
export const memberOf = (nodeId: string, fields: Partial<Member> = {}): Member => ({
  nodeId,
  incarnation: 1,
  address: `${nodeId}:9095`,
  httpAddress: `${nodeId}:3100`,
  zone: '',
  weight: 1,
  state: 'ACTIVE',
  diskId: `disk-of-${nodeId}`,
  protocol: { min: 1, max: 1 },
  ...fields,
});
