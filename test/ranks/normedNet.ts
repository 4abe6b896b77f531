// A small net with batch norms, the same in every process of a test and in the test itself: its spec, the
// batches and the state that it starts from.
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { compileExperiment } from "../step/experiment.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";

const NORMED: Partial<SpecInput> = {
  ...{ fcn: { layers: [8, "p"] }, shared_layers: [8, "r", "d"], task_layers: [6] },
  ...{ batchnorm: true, batch_size: 12, imshape: [12, 12] },
};

/** Compiled for so many processes. */
export function normedNet(ranks: number): TracedBundle {
  return compileExperiment(NORMED, { a: 3, b: 2 }, undefined, "cpu", { ranks });
}
