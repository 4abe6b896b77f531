// What combining gradients costs: the step as it is beside that of the sum, and the gradients that it holds.
import { type Manifest, withRole } from "../bundle/manifest.ts";
import type { Combination } from "../combine/combiners.ts";
import { elementCount, type Graph } from "../ir/types.ts";
import { valueBytes } from "./graphCosts.ts";

export interface CombineFacts {
  readonly method: string;
  /** Whether it works on the gradient at the shared features. */
  readonly atFeatures: boolean;
  /** Tasks whose gradients are combined. */
  readonly tasks: readonly string[];
  /** Operations of one training step (multiply-add = 2), and what the sum's would be. */
  readonly stepFlops: number;
  readonly sumFlops: number;
  /** Numbers that tasks share and train; 0 at the features. */
  readonly sharedNumbers: number;
  /** Bytes of their gradients by task, of one set. */
  readonly gradientBytes: number;
}

/** Undefined where the step combines nothing. `flopsOf`: all operations of a training step's graph. */
export function combineFacts(
  { combiner, atFeatures }: Combination,
  { graphs }: Pick<Manifest, "graphs">,
  steps: { readonly own: Graph; readonly sum: Graph },
  flopsOf: (graph: Graph) => number,
): CombineFacts | undefined {
  const gram = Object.values(graphs).flatMap(({ outputs }) => withRole(outputs, "gram"))[0];
  if (!gram) return undefined;
  const accumulators = withRole(graphs.grad?.inputs ?? [], "accumulator");
  const byTask = accumulators.filter(({ tasks }) => tasks !== undefined);
  return {
    ...{ method: combiner.name, atFeatures, tasks: gram.tasks },
    ...{ stepFlops: flopsOf(steps.own), sumFlops: flopsOf(steps.sum) },
    sharedNumbers: byTask.reduce((sum, { shape }) => sum + elementCount(shape.slice(1)), 0),
    gradientBytes: byTask.reduce((sum, entry) => sum + valueBytes(entry), 0),
  };
}
