import type { Grouping } from '../../logql/ast.ts';
import type { GroupSpec } from './scan-messages.ts';

export const groupOf = ({ without, names }: Grouping): GroupSpec => ({ kind: without ? 'without' : 'by', names });
