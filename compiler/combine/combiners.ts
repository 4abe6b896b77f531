// The methods that `combine` may name, in the order in which they are listed. A method is one file and one
// line here.

import { need } from "../diagnostics.ts";
import type { TaskWeight } from "../ir/roles.ts";
import type { CombineMethod, Combiner, LearnedFactors, LinearMethod } from "./combiner.ts";
import { dwa } from "./dwa.ts";
import { famo } from "./famo.ts";
import { GRADIENT_METHODS } from "./gradientMethods.ts";
import { rlw } from "./rlw.ts";
import { sum } from "./sum.ts";

const METHODS: readonly CombineMethod[] = [sum, ...GRADIENT_METHODS, dwa, rlw, famo];

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
 * Undefined for methods that are linear in the losses, `sum` among them unless it is to be measured, and
 * for a single task.
 */
export function combinationOf({ combine, tasks }: CombineSpec): Combination | undefined {
  const method = COMBINE_METHODS.get(combine.method);
  if (!method || tasks.length < 2) return undefined;
  const measured = method.kind === "losses" && combine.measure === true ? method.measured : undefined;
  const combiner = method.kind === "gradients" ? method : measured;
  if (!combiner) return undefined;
  return { combiner, settings: settingsOf(combine), atFeatures: combine.features === true };
}

/** What a spec asks for whose factors of the losses a step learns. */
export interface Learning {
  readonly method: string;
  readonly factors: LearnedFactors;
  readonly settings: Readonly<Record<string, number>>;
}

/** Undefined for other methods, and for a single task. */
export function learningOf({ combine, tasks }: CombineSpec): Learning | undefined {
  const factors = linearMethod(combine)?.learned;
  if (!factors || tasks.length < 2) return undefined;
  return { method: combine.method, factors, settings: settingsOf(combine) };
}

/** What rules of the spec ask of a method. */
export interface CombineTraits {
  /** Whether each loss has a factor of the method's making. */
  readonly weighsLosses: boolean;
  /** Whether the factors are made of the losses of epochs before. */
  readonly readsEarlierLosses: boolean;
  /** Whether fixed weights of tasks leave the direction of what they share as it is. */
  readonly ignoresFixedWeights: boolean;
  /** Whether a step learns the factors: it looks at the losses of its batch once more, after the update. */
  readonly learnsFactors: boolean;
}

export function combineTraits(combine: ResolvedCombine): CombineTraits {
  const method = COMBINE_METHODS.get(combine.method);
  const linear = linearMethod(combine);
  const learnsFactors = linear?.learned !== undefined;
  return {
    weighsLosses: learnsFactors || linear?.factor !== undefined,
    readsEarlierLosses: linear?.readsEarlierLosses ?? false,
    ignoresFixedWeights: method?.kind === "gradients" && method.ignoresLengths === true,
    learnsFactors,
  };
}

function linearMethod({ method: name }: ResolvedCombine): LinearMethod | undefined {
  const method = COMBINE_METHODS.get(name);
  return method?.kind === "losses" ? method : undefined;
}

/** The formula of a task's factor, which the host feeds; `value` is the spec's own weight. */
export function taskFactor({ combine, tasks }: CombineSpec, value: number): TaskWeight {
  const factor = linearMethod(combine)?.factor;
  if (!factor || tasks.length < 2) return { formula: "constant", value };
  return factor(value, settingsOf(combine));
}

/** The method's own numbers. */
function settingsOf(combine: ResolvedCombine): Record<string, number> {
  const names = Object.keys(COMBINE_METHODS.get(combine.method)?.settings ?? {});
  return Object.fromEntries(names.map((name) => [name, Number(need(combine[name], name))]));
}
