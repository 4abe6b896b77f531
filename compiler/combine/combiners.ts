// The methods that `combine` may name, in the order in which they are listed. A method is one file and one
// line here.
import type { TaskWeight } from "../ir/roles.ts";
import type { CombineMethod, Combiner } from "./combiner.ts";
import { dwa } from "./dwa.ts";
import { GRADIENT_METHODS } from "./gradientMethods.ts";
import { rlw } from "./rlw.ts";
import { sum } from "./sum.ts";

const METHODS: readonly CombineMethod[] = [sum, ...GRADIENT_METHODS, dwa, rlw];

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

/** The keys of a spec that say how gradients are combined. */
export interface CombineSpec {
  readonly combine: ResolvedCombine;
  readonly tasks: readonly string[];
}

/**
 * Undefined for methods that are linear in the losses, `sum` among them unless it is to be measured, and for a
 * single task.
 */
export function combinationOf({ combine, tasks }: CombineSpec): Combination | undefined {
  const method = COMBINE_METHODS.get(combine.method);
  const combiner = method?.weights ? method : combine.measure === true ? method?.measured : undefined;
  if (!combiner || tasks.length < 2) return undefined;
  return { combiner, settings: settingsOf(combine), atFeatures: combine.features === true };
}

/** What rules of the spec ask of a method. */
export interface CombineTraits {
  /** Whether each loss has a factor of the method's making. */
  readonly weighsLosses: boolean;
  /** Whether the factors are made of the losses of epochs before. */
  readonly readsEarlierLosses: boolean;
}

export function combineTraits({ method: name }: ResolvedCombine): CombineTraits {
  const method = COMBINE_METHODS.get(name);
  const linear = method?.weights === undefined ? method : undefined;
  return {
    weighsLosses: linear?.factor !== undefined,
    readsEarlierLosses: linear?.readsEarlierLosses ?? false,
  };
}

/** The formula of a task's factor, which the host feeds; `value` is the spec's own weight. */
export function taskFactor({ combine, tasks }: CombineSpec, value: number): TaskWeight {
  const method = COMBINE_METHODS.get(combine.method);
  const factor = method?.weights === undefined ? method?.factor : undefined;
  if (!factor || tasks.length < 2) return { formula: "constant", value };
  return factor(value, settingsOf(combine));
}

function settingsOf({
  method: _,
  features: __,
  measure: ___,
  ...rest
}: ResolvedCombine): Record<string, number> {
  return Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, Number(value)]));
}
