import { createRequire } from 'node:module';

interface SystemMap {
  add: (system: { readonly name: string }) => void;
  readonly remove: (name: string) => void;
}

const systemMap = createRequire(import.meta.url)('nact/lib/system-map.js') as SystemMap;

/**
 * nact keeps every actor system by its name until it is stopped, and a simulated crash stops none: all that a schedule's nodes held would
 * stay in memory. What began since the call is forgotten when the result is called; whoever is still in the middle of something finds no actor.
 */
export const watchActorSystems = (): (() => void) => {
  const names: string[] = [];
  const { add } = systemMap;
  systemMap.add = (system) => {
    names.push(system.name);
    add(system);
  };
  return () => {
    systemMap.add = add;
    for (const name of names) systemMap.remove(name);
  };
};
