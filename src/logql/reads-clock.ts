import type { Stage } from './ast.ts';

/** Functions of templates that show the time at which they run: `date` does for what is no time. A field of that name is taken for one, too. */
const CLOCK_FUNCTION = /\b(now|date)\b/;

/** True if what the stages make of an entry may be another thing later. */
export const readsClock = (stages: readonly Stage[]): boolean =>
  stages.some((stage) => templatesOf(stage).some((template) => CLOCK_FUNCTION.test(template)));

const templatesOf = (stage: Stage): readonly string[] => {
  switch (stage.kind) {
    case 'lineFormat':
      return [stage.template];
    case 'labelFormat':
      return stage.formats.flatMap((format) => (format.kind === 'template' ? [format.template] : []));
    default:
      return [];
  }
};
