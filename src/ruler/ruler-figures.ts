import type { DeliveryFigures } from './delivery-queue.ts';
import type { GroupFigures } from './group-runner.ts';
import type { GroupId } from './rule-group.ts';

/** What a node counts of the rules that it evaluates, and of what it sends; each part is made when it is read. */
export interface RulerFigures {
  readonly groups: readonly (GroupId & GroupFigures)[];
  /** By receiver, without the password that its URL may have. */
  readonly notifications: readonly (readonly [receiver: string, figures: DeliveryFigures])[];
  /** Alerts of a tenant and receiver that may wait. */
  readonly notificationsMax: number;
  /** By client. */
  readonly samples: readonly (readonly [client: string, figures: DeliveryFigures])[];
}
