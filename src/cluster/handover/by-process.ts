/** Names by the process that they are meant for, in order of arrival. */

/** A process of a node. */
export interface Target {
  readonly nodeId: string;
  readonly incarnation: number;
}

/** What has a name and is meant for a process. */
interface Targeted {
  readonly name: string;
  readonly target: Target;
}

/** A name with others of its process. */
export const addTo = (byProcess: Map<string, Set<string>>, { name, target }: Targeted): void => {
  const process = processOf(target);
  const names = byProcess.get(process);
  if (names) names.add(name);
  else byProcess.set(process, new Set([name]));
};

export const removeFrom = (byProcess: Map<string, Set<string>>, { name, target }: Targeted): void => {
  const process = processOf(target);
  const names = byProcess.get(process);
  names?.delete(name);
  if (names?.size === 0) byProcess.delete(process);
};

/** Names a process. */
export const processOf = ({ nodeId, incarnation }: Target): string => `${nodeId}/${incarnation}`;
