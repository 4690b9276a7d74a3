/** What nodes ask each other. Numbers on the wire: never used again for something else. */
export const CallKind = {
  APPEND: 1,
  ADOPT: 2,
  SELECT: 3,
  LABEL_SETS: 4,
  LOAD: 5,
  SCAN: 6,
  STATUS: 7,
  VOLUMES: 8,
  TAIL: 9,
  RULES: 10,
} as const;
