/** What a member tells of itself, as JSON: read by people and by the ring command; fields may be added. */
import type { MemberFigures } from './cluster-services.ts';

export const encodeStatus = (figures: MemberFigures): Uint8Array => Buffer.from(JSON.stringify(figures));

export const decodeStatus = (bytes: Uint8Array): MemberFigures =>
  JSON.parse(Buffer.from(bytes).toString()) as MemberFigures;
