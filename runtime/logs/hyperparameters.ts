// The spec as flat names and values: what decides the training, as TensorBoard and MLflow list it beside
// figures.
import type { Decides } from "../../compiler/spec/keyKinds.ts";
import { SPEC_KEYS, type Spec, type SpecKey, specSchema } from "../../compiler/spec/schema.ts";
import type { Hyperparameters } from "./sink.ts";

/** Long lists that are no settings. */
const PASSED_OVER: readonly SpecKey[] = ["classes", "task_kinds"];
/** What decides no number and is looked for all the same. */
const LISTED: readonly SpecKey[] = ["epochs"];

/** Keys that decide the training, maps by `key.inner`, lists as JSON; what is null is left out. */
export function hyperparametersOf(spec: Spec): Hyperparameters {
  const keys = SPEC_KEYS.filter((key) => {
    const decides = specSchema.shape[key].meta()?.decides as Decides | undefined;
    return LISTED.includes(key) || (decides !== "nothing" && !PASSED_OVER.includes(key));
  });
  return Object.fromEntries(keys.flatMap((key) => flat(key, spec[key])));
}

function flat(name: string, value: unknown): [string, string | number | boolean][] {
  if (value === null || value === undefined) return [];
  if (typeof value === "number" || typeof value === "boolean" || typeof value === "string")
    return [[name, value]];
  if (Array.isArray(value)) return [[name, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([inner, each]) => flat(`${name}.${inner}`, each));
}
