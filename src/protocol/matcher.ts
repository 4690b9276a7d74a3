/** A condition on a label of a stream. A missing label has the value "". Regexes are Go's, fully anchored, `.` matches newline. */
export interface LabelMatcher {
  readonly name: string;
  readonly op: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}
