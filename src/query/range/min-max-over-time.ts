import type { ValuesFunction } from './range-function.ts';

/** NaN loses against any number. */
export const minOverTime: ValuesFunction = {
  kind: 'values',
  of: ({ values, first, end }) => {
    let least = values[first]!;
    for (let index = first + 1; index < end; index += 1) {
      if (values[index]! < least || Number.isNaN(least)) least = values[index]!;
    }
    return least;
  },
};

export const maxOverTime: ValuesFunction = {
  kind: 'values',
  of: ({ values, first, end }) => {
    let most = values[first]!;
    for (let index = first + 1; index < end; index += 1) {
      if (values[index]! > most || Number.isNaN(most)) most = values[index]!;
    }
    return most;
  },
};
