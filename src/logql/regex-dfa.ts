/**
 * A lazy DFA over bytes: whether a line holds a match, at one table look-up a byte, without making text of the line. It runs the program
 * that re2js compiled, so that syntax, classes and case folding are re2js's alone; a state is a set of its instructions, made when a line
 * first needs it. Bytes of ASCII only: at any other it gives up on the line, as it does for good where states would become too many.
 */
import type { RE2JS } from 're2js';

export const OUTCOME = { noMatch: 0, match: 1, unknown: -1 } as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];

/** An instruction of re2js's program. */
interface Instruction {
  readonly op: number;
  readonly out: number;
  readonly arg: number;
  matchRune(rune: number): boolean;
}

interface Program {
  readonly start: number;
  readonly inst: readonly Instruction[];
}

/** re2js 2.10: kinds of instruction. */
const OP = {
  alt: 1,
  altMatch: 2,
  capture: 3,
  emptyWidth: 4,
  fail: 5,
  match: 6,
  nop: 7,
  rune: 8,
  rune1: 9,
  any: 10,
  anyNotNewline: 11,
};
/** What stands between two characters: the argument of `emptyWidth` names what there must be. */
const BEGIN_LINE = 1;
const END_LINE = 2;
const BEGIN_TEXT = 4;
const END_TEXT = 8;
const WORD_BOUNDARY = 16;
const NO_WORD_BOUNDARY = 32;

const NEWLINE = 0x0a;
const ASCII_SIZE = 128;
const STRIDE = 256;
/** Stands for the end of the text among bytes, and for its start as the byte before the first. */
const EDGE = -1;

/** Entries of the table that lead to no state. */
const NOT_MADE = 0;
const MATCHED = -1;
const GIVEN_UP = -2;

const INSTRUCTIONS_MAX = 400;
/** 256 KiB of table. */
const STATES_MAX = 256;
/** Times the table may fill up and be made anew; a pattern that goes on like that is left to re2js. */
const FILLS_MAX = 8;

interface State {
  readonly key: string;
  /** Instructions to go on from, before what is empty is passed. */
  readonly pcs: readonly number[];
  /** The character before, if the program asks for it. */
  readonly before: number;
  /** Outcome if the text ends here. */
  atEnd: Outcome;
}

const isWord = (byte: number): boolean =>
  (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || (byte >= 0x61 && byte <= 0x7a);

/** Everything that is the case between two characters. */
const between = (before: number, after: number): number => {
  let facts = isWord(before) === isWord(after) ? NO_WORD_BOUNDARY : WORD_BOUNDARY;
  if (before === EDGE) facts |= BEGIN_TEXT | BEGIN_LINE;
  if (before === NEWLINE) facts |= BEGIN_LINE;
  if (after === EDGE) facts |= END_TEXT | END_LINE;
  if (after === NEWLINE) facts |= END_LINE;
  return facts;
};

export class RegexDfa {
  readonly #program: Program;
  readonly #looksAround: boolean;
  /** [state × STRIDE + byte]: the next state × STRIDE, or one of the entries above. State 0 is none, state 1 the first. */
  #table = new Int32Array(STRIDE * 8);
  #states: State[] = [];
  #numbers = new Map<string, number>();
  #fills = 0;

  constructor(program: Program) {
    this.#program = program;
    this.#looksAround = program.inst.some(({ op }) => op === OP.emptyWidth);
    this.#clear();
  }

  /** Whether the pattern matches anywhere in [start, end). */
  test(bytes: Uint8Array, start: number, end: number): Outcome {
    let table = this.#table;
    let state = STRIDE;
    for (let at = start; at < end; at++) {
      if (state === STRIDE) {
        at = endOfStart(table, bytes, at, end);
        if (at === end) break;
      }
      let next = table[state + bytes[at]!]!;
      if (next <= 0) {
        if (next === NOT_MADE) next = this.#next(state, bytes[at]!);
        if (next <= 0) return next === MATCHED ? OUTCOME.match : OUTCOME.unknown;
        table = this.#table;
      }
      state = next;
    }
    return this.#atEnd(state);
  }

  #clear(): void {
    this.#table = new Int32Array(STRIDE * 8);
    this.#states = [];
    this.#numbers.clear();
    const before = this.#looksAround ? EDGE : 0;
    this.#numberOf([], before);
    this.#numberOf([], before);
  }

  #atEnd(offset: number): Outcome {
    const state = this.#states[offset / STRIDE]!;
    if (state.atEnd === OUTCOME.unknown) {
      state.atEnd = this.#closure(state, EDGE) === undefined ? OUTCOME.match : OUTCOME.noMatch;
    }
    return state.atEnd;
  }

  /** Makes an entry of the table. */
  #next(offset: number, byte: number): number {
    if (byte >= ASCII_SIZE || this.#fills > FILLS_MAX) return GIVEN_UP;
    const closure = this.#closure(this.#states[offset / STRIDE]!, byte);
    let next = MATCHED;
    if (closure !== undefined) {
      const { inst } = this.#program;
      const pcs = new Set<number>();
      for (const pc of closure) if (takes(inst[pc]!, byte)) pcs.add(inst[pc]!.out);
      if (this.#states.length >= STATES_MAX) {
        this.#fills++;
        this.#clear();
        return STRIDE * this.#numberOf(sorted(pcs), this.#looksAround ? byte : 0);
      }
      next = STRIDE * this.#numberOf(sorted(pcs), this.#looksAround ? byte : 0);
    }
    this.#table[offset + byte] = next;
    return next;
  }

  /** Instructions that take a character, reached from a state before `after`; undefined if the match is reached. */
  #closure({ pcs, before }: State, after: number): readonly number[] | undefined {
    const { inst, start } = this.#program;
    const facts = this.#looksAround ? between(before, after) : 0;
    const seen = new Uint8Array(inst.length);
    // A match may begin at any place.
    const waiting = [...pcs, start];
    const reached: number[] = [];
    for (let pc = waiting.pop(); pc !== undefined; pc = waiting.pop()) {
      if (seen[pc] === 1) continue;
      seen[pc] = 1;
      const { op, out, arg } = inst[pc]!;
      if (op === OP.match) return undefined;
      if (op === OP.alt || op === OP.altMatch) waiting.push(out, arg);
      else if (op === OP.capture || op === OP.nop || (op === OP.emptyWidth && (arg & ~facts) === 0)) waiting.push(out);
      else if (op >= OP.rune) reached.push(pc);
    }
    return reached;
  }

  #numberOf(pcs: readonly number[], before: number): number {
    const known = contextOf(before);
    const key = `${known} ${pcs.join(' ')}`;
    const number = this.#numbers.get(key);
    if (number !== undefined && number > 0) return number;
    const made = this.#states.length;
    this.#states.push({ key, pcs, before: known, atEnd: OUTCOME.unknown });
    this.#numbers.set(key, made);
    if (STRIDE * (made + 1) > this.#table.length) {
      const table = new Int32Array(2 * this.#table.length);
      table.set(this.#table);
      this.#table = table;
    }
    return made;
  }
}

/** The first byte that leads out of the first state: most bytes of most lines begin no match. */
const endOfStart = (table: Int32Array, bytes: Uint8Array, start: number, end: number): number => {
  let at = start;
  while (at < end && table[STRIDE + bytes[at]!] === STRIDE) at++;
  return at;
};

/** Characters before that make no difference are one. */
const contextOf = (before: number): number => {
  if (before === EDGE || before === NEWLINE) return before;
  return isWord(before) ? 0x61 : 0x20;
};

const sorted = (pcs: ReadonlySet<number>): readonly number[] => [...pcs].sort((a, b) => a - b);

const takes = (instruction: Instruction, byte: number): boolean => {
  if (instruction.op === OP.any) return true;
  return instruction.op === OP.anyNotNewline ? byte !== NEWLINE : instruction.matchRune(byte);
};

/** re2js keeps its program to itself. @returns undefined where it looks otherwise than in 2.10 */
const programOf = (regex: RE2JS): Program | undefined => {
  const { prog } = (regex as unknown as { re2Input?: { prog?: Partial<Program> } }).re2Input ?? {};
  if (!prog || typeof prog.start !== 'number' || !Array.isArray(prog.inst)) return undefined;
  const isKnown = prog.inst.every(
    ({ op, matchRune }: Instruction) => op >= OP.alt && op <= OP.anyNotNewline && typeof matchRune === 'function',
  );
  return isKnown && prog.inst.length <= INSTRUCTIONS_MAX ? (prog as Program) : undefined;
};

/** A DFA for what `regex.test` tells; undefined where the pattern is too large for one. */
export const dfaOf = (regex: RE2JS): RegexDfa | undefined => {
  const program = programOf(regex);
  return program && new RegexDfa(program);
};
