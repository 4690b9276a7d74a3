import type { GoValue } from './values.ts';

/** Types of parameters; `any` is interface{}, `value` a reflect.Value (it also takes what is invalid). */
export type ParameterType = 'string' | 'int' | 'float64' | 'bool' | 'time' | 'any' | 'value';

export interface TemplateFunction {
  readonly parameters: readonly ParameterType[];
  /** Type of any number of further arguments. */
  readonly rest?: ParameterType;
  /** Arguments have the declared types: strings are bytes, `int` is a bigint, `float64` a number. @throws TemplateError */
  readonly call: (...args: readonly never[]) => GoValue;
}
