import { canonicalText } from '../protocol/label-text.ts';
import { valueOfLabel } from './step-series.ts';

/** What Loki says when an entry inside a window carries `__error__`. `labels`: its final labels, not grouped. */
export const pipelineErrorText = (labels: readonly string[]): string => {
  const error = valueOfLabel(labels, '__error__');
  return (
    `pipeline error: '${error}' for series: '${canonicalText(labels)}'.\n` +
    `Use a label filter to intentionally skip this error. (e.g | __error__!="${error}").\n` +
    'To skip all potential errors you can match empty errors.(e.g __error__="")\n' +
    'The label filter can also be specified after unwrap. (e.g | unwrap latency | __error__="" )\n'
  );
};
