import { expect } from 'chai';
import fc from 'fast-check';
import { newQueryState, type QueryActorMessage, type QueryEffect, stepQuery } from '../../../src/actors/query-state.ts';
import type { QueryEvent, QueryStatistics } from '../../../src/query/query-messages.ts';
import { PROPERTY_TIMEOUT_MS, propertyRuns } from '../../support/property-runs.ts';

const ENTRIES: QueryEvent = { type: 'entries', streams: [] };
const DONE: QueryEvent = { type: 'done', statistics: {} as QueryStatistics };

const run = (...messages: readonly QueryActorMessage[]): readonly QueryEffect[] => {
  let state = newQueryState();
  return messages.flatMap((message) => {
    const next = stepQuery(state, message);
    state = next.state;
    return next.effects;
  });
};

const words = (effects: readonly QueryEffect[]) =>
  effects.map((effect) => (effect.type === 'deliver' ? effect.event.type : effect.type));

describe('stepQuery', () => {
  it('starts to work when admitted, before anything is pulled', () => {
    expect(words(run({ type: 'admitted' }))).to.deep.equal(['produce']);
  });

  it('holds an event until there is a credit for it, and reads no further', () => {
    const effects = run({ type: 'admitted' }, { type: 'produced', event: ENTRIES });
    expect(words(effects)).to.deep.equal(['produce']);
  });

  it('delivers one event for each credit', () => {
    const effects = run(
      { type: 'admitted' },
      { type: 'produced', event: ENTRIES },
      { type: 'pull', credits: 1 },
      { type: 'produced', event: ENTRIES },
    );
    expect(words(effects)).to.deep.equal(['produce', 'entries', 'produce']);
  });

  it('ends with done without a credit, once', () => {
    const effects = run({ type: 'admitted' }, { type: 'produced', event: DONE }, { type: 'cancel' });
    expect(words(effects)).to.deep.equal(['produce', 'done', 'end']);
  });

  it('fails with CANCELLED when cancelled, and ignores what the engine still produces', () => {
    const effects = run({ type: 'admitted' }, { type: 'cancel' }, { type: 'produced', event: DONE });
    expect(words(effects)).to.deep.equal(['produce', 'failed', 'end']);
    expect(effects[1]).to.have.nested.property('event.refusal.code', 'CANCELLED');
  });

  it('fails at the deadline with the text Loki gives', () => {
    const [failed] = run({ type: 'deadline' });
    expect(failed).to.have.nested.property('event.refusal.code', 'DEADLINE_EXCEEDED');
    expect(failed)
      .to.have.nested.property('event.refusal.text')
      .that.matches(/^request timed out, decrease the duration of the request or add more label matchers/);
  });

  it('fails with INTERNAL when the engine ends without done', () => {
    const effects = run({ type: 'admitted' }, { type: 'produced', event: undefined });
    expect(effects[1]).to.have.nested.property('event.refusal.code', 'INTERNAL');
  });

  it('never delivers more data than credits, and exactly one end, whatever comes', () => {
    const message: fc.Arbitrary<QueryActorMessage> = fc.oneof(
      fc.constant<QueryActorMessage>({ type: 'admitted' }),
      fc.nat(3).map((credits): QueryActorMessage => ({ type: 'pull', credits })),
      fc.constant<QueryActorMessage>({ type: 'produced', event: ENTRIES }),
      fc.constant<QueryActorMessage>({ type: 'produced', event: DONE }),
      fc.constant<QueryActorMessage>({ type: 'cancel' }),
    );
    fc.assert(
      fc.property(fc.array(message, { maxLength: 20 }), (messages) => {
        const said = words(run(...messages, { type: 'deadline' }));
        const credits = messages.reduce((sum, sent) => sum + (sent.type === 'pull' ? sent.credits : 0), 0);
        expect(said.filter((word) => word === 'entries').length).to.be.at.most(credits);
        expect(said.filter((word) => word === 'done' || word === 'failed').length).to.equal(1);
        expect(said.at(-1)).to.equal('end');
      }),
      { numRuns: propertyRuns(4) },
    );
  }).timeout(PROPERTY_TIMEOUT_MS);
});
