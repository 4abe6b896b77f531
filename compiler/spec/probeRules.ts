// What must hold between the keys about probes and the rest of a spec.
import type { Spec } from "./schema.ts";

/** The keys that the rules look at; one that is missing or malformed leaves its rule out. */
export type ProbeRuleSpec = {
  readonly [Key in "downstream_labels" | "linear_probe" | "rotation_test" | "query_fig" | "imshape"]?:
    | Spec[Key]
    | undefined;
};

/** A broken rule, as specRules.ts lists them. */
interface ProbeFault {
  readonly path: readonly string[];
  readonly message: string;
  readonly hint?: string;
}

/** A probe without labels, a sheet without a probe, turns of images that are not square. */
export function probeFaults(spec: ProbeRuleSpec): ProbeFault[] {
  const { downstream_labels: table, linear_probe: linear, rotation_test: turns, query_fig: query } = spec;
  const faults: ProbeFault[] = [];
  const hint = "name a label table: `downstream_labels: probes.csv`";
  if (table === null && typeof linear === "number")
    faults.push({ path: ["linear_probe"], message: "there are no labels to probe with", hint });
  if (query !== undefined && query !== false) {
    if (table === null)
      faults.push({
        path: ["query_fig"],
        message: "there are no labels to take images of each class by",
        hint,
      });
    else if (linear === false)
      faults.push({
        path: ["query_fig"],
        message: "it is drawn at each linear_probe, which is false",
        hint: "linear_probe: true, or every so many epochs",
      });
  }
  const { imshape } = spec;
  if (turns && imshape && imshape[0] !== imshape[1])
    faults.push({
      path: ["rotation_test"],
      message: `quarter turns need a square imshape, found ${imshape.join("x")}`,
    });
  return faults;
}
