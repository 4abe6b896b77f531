// What must hold between `combine` and the rest of a spec.
import { combineTraits } from "../combine/combiners.ts";
import type { Spec } from "./schema.ts";

/** The keys that the rules look at; one that is missing or malformed leaves its rule out. */
type CombineRuleSpec = {
  readonly [Key in "combine" | "task_weights"]?: Spec[Key] | undefined;
};

/** A broken rule, as specRules.ts lists them. */
interface CombineFault {
  readonly path: readonly string[];
  readonly message: string;
  readonly hint?: string;
}

/** A method that weighs losses, beside other weights. */
export function factorFaults({ combine, task_weights: weights }: CombineRuleSpec): CombineFault[] {
  if (combine === undefined || weights === undefined || weights === null) return [];
  const { weighsLosses, learnsFactors } = combineTraits(combine);
  if (!weighsLosses) return [];
  if (weights !== "adaptive") {
    // The factors are z / L over their sum: a fixed factor of L drops out but for the sum.
    const fixed = `${combine.method} makes all losses fall alike, whatever fixed weights they have`;
    return learnsFactors ? [{ path: ["task_weights"], message: fixed, hint: "take the line out" }] : [];
  }
  const message = `${combine.method} weighs the losses, and task_weights: adaptive learns other weights of them`;
  return [{ path: ["combine"], message, hint: "leave one of them out" }];
}
