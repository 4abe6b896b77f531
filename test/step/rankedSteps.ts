// Several processes of one model in a test: a graph that all of them run, each on its rows of a batch.
import { need } from "../../compiler/diagnostics.ts";
import { interpretTogether } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { type Batch, microBatches } from "./experiment.ts";
import type { Tensors } from "./graphRunner.ts";

/** Outputs of a graph at a stage ("grad/5-final"), by rank; `shared` is what all of them feed beside rows. */
export function runTogether({ bundle, stages }: TracedBundle, stage: string, batch: Batch, shared: Tensors) {
  const rows = microBatches(batch, bundle.manifest.ranks ?? 1);
  return interpretTogether(
    need(stages.get(stage), stage),
    rows.map((own) => new Map([...shared, ...own])),
  );
}

/** Arrays of one shape, element by element. */
export function sumOfArrays(arrays: readonly NDArray[]): Float64Array {
  return arrays.reduce(
    (total, { data }) => total.map((value, i) => value + data[i]!),
    new Float64Array(arrays[0]!.data.length),
  );
}
