// The graphs that a step runs, and the rounds over its micro-batches that they are run in: one, or, where a
// step makes weights of the losses of a batch that comes in parts, several.
import { accumulates, type GraphEntry, type Manifest, type StepCut } from "../../compiler/bundle/manifest.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { GraphPurpose } from "../../compiler/ir/roles.ts";

/** What a step shows the network. */
export type Shown = "image" | "features";

/** What of a manifest says how a step goes. */
export type StepManifest = StepCut & Pick<Manifest, "graphs">;

/** Graphs by purpose, in the order of their runs; each of a round takes all micro-batches. */
export interface StepRounds {
  /** Takes the micro-batches as they come. */
  readonly first: "train" | "grad" | "losses";
  /** A round over the same micro-batches, which adds their gradients up, where the first does not. */
  readonly gradients: "grad" | undefined;
  readonly update: "apply" | undefined;
  /** A round over the same micro-batches after the update, and what ends the step then. */
  readonly look: "losses" | undefined;
  readonly end: "factors" | undefined;
}

export function stepRounds(manifest: StepManifest): StepRounds {
  const none = { gradients: undefined, look: undefined, end: undefined } as const;
  if (!accumulates(manifest)) return { ...none, first: "train", update: undefined };
  const graphs = Object.values(manifest.graphs);
  if (!graphs.some(({ purpose }) => purpose === "factors"))
    return { ...none, first: "grad", update: "apply" };
  const waits = graphs.some(({ purpose, inputs }) => purpose === "grad" && takes(inputs, "losses"));
  const [first, gradients] = waits ? (["losses", "grad"] as const) : (["grad", undefined] as const);
  return { first, gradients, update: "apply", look: "losses", end: "factors" };
}

/** Name of the graph of a purpose, on images or features where it takes a micro-batch. */
export function graphOf({ graphs }: StepManifest, purpose: GraphPurpose, shown: Shown): string {
  const other: Shown = shown === "image" ? "features" : "image";
  const found = Object.entries(graphs).find(
    ([, entry]) => entry.purpose === purpose && !takes(entry.inputs, other),
  );
  return need(found?.[0], `${purpose} on ${shown}`);
}

/** Names of all graphs that a step runs, each once. */
export function stepGraphs(manifest: StepManifest, shown: Shown): readonly string[] {
  const purposes = Object.values(stepRounds(manifest)).filter((purpose) => purpose !== undefined);
  return [...new Set(purposes)].map((purpose) => graphOf(manifest, purpose, shown));
}

function takes(inputs: GraphEntry["inputs"], role: Shown | "losses"): boolean {
  return inputs.some((input) => input.role === role);
}
