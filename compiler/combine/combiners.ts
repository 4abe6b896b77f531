// The methods that `combine` may name, in the order in which they are listed. A method is one file and one
// line here.
import type { CombineMethod, Combiner } from "./combiner.ts";
import { GRADIENT_METHODS } from "./gradientMethods.ts";
import { sum } from "./sum.ts";

const METHODS: readonly CombineMethod[] = [sum, ...GRADIENT_METHODS];

/** The methods by name. */
export const COMBINE_METHODS: ReadonlyMap<string, CombineMethod> = new Map(
  METHODS.map((method) => [method.name, method]),
);

/** The value of `combine` in a resolved spec: a method, its numbers, `features` or `measure`. */
export type ResolvedCombine = Readonly<Record<string, string | number | boolean>> & {
  readonly method: string;
};

/** What a spec asks for that weighs gradients. */
export interface Combination {
  readonly combiner: Combiner;
  readonly settings: Readonly<Record<string, number>>;
  /** Whether it works on the gradient at the shared features. */
  readonly atFeatures: boolean;
}

/**
 * Undefined for methods that are linear in the losses, `sum` among them unless it is to be measured, and for a
 * single task.
 */
export function combinationOf(spec: {
  readonly combine: ResolvedCombine;
  readonly tasks: readonly string[];
}): Combination | undefined {
  const { method: name, features, measure, ...rest } = spec.combine;
  const method = COMBINE_METHODS.get(name);
  const combiner = method?.weights ? method : measure === true ? method?.measured : undefined;
  if (!combiner || spec.tasks.length < 2) return undefined;
  const settings = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Number(value)]));
  return { combiner, settings, atFeatures: features === true };
}
