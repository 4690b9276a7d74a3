import type { PushedStream } from '../protocol/entry-columns.ts';
import { labelSetOf, parseLabelPairs } from '../protocol/label-text.ts';
import { withServiceName } from '../protocol/service-name.ts';
import type { Slices } from './cooperative.ts';
import { KnownStream } from './known-stream.ts';
import { LabelCache } from './label-cache.ts';

/** Label text as it is pushed → its stream, so that labels are read once. */
export class KnownStreams {
  readonly #cache: LabelCache<KnownStream>;

  constructor(bytesMax: number) {
    this.#cache = new LabelCache(bytesMax);
  }

  /**
   * undefined for streams without entries: their labels are not even looked at.
   * @param serviceLabels `discover_service_name`
   * @throws RefusedError BAD_REQUEST for the whole push
   */
  async ofPush(
    tenant: string,
    streams: readonly PushedStream[],
    serviceLabels: readonly string[],
    slices: Slices,
  ): Promise<readonly (KnownStream | undefined)[]> {
    const resolved: (KnownStream | undefined)[] = [];
    for (const { labelText, first, end } of streams) {
      resolved.push(first < end ? this.of(tenant, labelText, serviceLabels) : undefined);
      if (slices.isOver()) await slices.turn();
    }
    return resolved;
  }

  /** @throws RefusedError BAD_REQUEST */
  of(tenant: string, labelText: Uint8Array, serviceLabels: readonly string[]): KnownStream {
    const { buffer, byteOffset, length } = labelText;
    const key = Buffer.from(buffer, byteOffset, length).toString('latin1');
    const known = this.#cache.get(tenant, key);
    // Limits that were read again have another list.
    if (known?.serviceLabels === serviceLabels) return known;
    const labels = labelSetOf(withServiceName(parseLabelPairs(labelText), serviceLabels));
    const { canonical } = labels;
    const fresh = new KnownStream(canonical, serviceLabels, labels);
    // One string where it was pushed as it is stored.
    this.#cache.set(tenant, key === canonical ? canonical : key, fresh);
    return fresh;
  }
}
