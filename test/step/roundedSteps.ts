// Steps in the rounds that CONTRACT.md says, in tests: over micro-batches, by one process or several.
import { type TensorEntry, withRole } from "../../compiler/bundle/manifest.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { stepRounds } from "../../runtime/train/stepRounds.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";
import { RATE } from "./combinedSteps.ts";
import { type Batch, gradFeeds, microBatches, tensorOf } from "./experiment.ts";
import type { GraphRunner, Tensors } from "./graphRunner.ts";
import { runTogether, sumOfArrays } from "./rankedSteps.ts";

/** Runs a graph on a micro-batch: the outputs of each process. */
export type PartRunner = (graph: string, micro: Batch, shared: Tensors) => readonly Tensors[];

/** One process. */
export function alone(run: GraphRunner): PartRunner {
  return (graph, micro, shared) => [run(graph, new Map([...shared, ...micro]))];
}

/** All processes of a bundle, in the float64 interpreter, at a stage of the compilation ("5-final"). */
export function together(traced: TracedBundle, stage: string): PartRunner {
  return (graph, micro, shared) => runTogether(traced, `${graph}/${stage}`, micro, shared);
}

/** What came of a step. */
export interface RoundedStep {
  /** The state after it. */
  readonly next: Tensors;
  /** Outputs of the runs, of the first process, by graph; those of losses by the round. */
  readonly told: ReadonlyMap<string, readonly Tensors[]>;
}

/** A step; `single` is the same model in one process. */
export function stepInRounds(
  traced: TracedBundle,
  single: TracedBundle,
  run: PartRunner,
  batch: Batch,
  state: Tensors,
): RoundedStep {
  const { manifest } = traced.bundle;
  const micros = microBatches(batch, manifest.accumulate);
  const rate: NDArray = { dtype: "float32", shape: [], data: Float64Array.of(RATE) };
  const feeds = new Map([...gradFeeds(traced, single, batch, state), ["learning_rate", rate] as const]);
  const told = new Map<string, Tensors[]>();
  const outputsOf = (graph: string) => need(manifest.graphs[graph], graph).outputs;
  const once = (graph: string, micro: Batch, taken: Tensors, as = graph): readonly Tensors[] => {
    const all = run(graph, micro, taken);
    told.set(as, [...(told.get(as) ?? []), all[0]!]);
    for (const { replaces, name } of withRole(outputsOf(graph), "state"))
      if (replaces !== undefined) feeds.set(replaces, tensorOf(all[0]!, name));
    return all;
  };
  const round = (graph: string, as?: string): void => {
    const added = [...withRole(outputsOf(graph), "accumulator"), ...withRole(outputsOf(graph), "losses")];
    const zeros = zerosOf(added);
    // Several processes each have sums of their own, which become one at the end.
    const isAlone = (manifest.ranks ?? 1) === 1;
    let sums: Tensors = zeros;
    for (const micro of micros) {
      const all = once(graph, micro, new Map([...feeds, ...(isAlone ? sums : zeros)]), as);
      const found = added.map(({ replaces = "", name }): [string, NDArray] => {
        const parts = all.map((outputs) => tensorOf(outputs, name));
        return [replaces, isAlone ? parts[0]! : sumOf([tensorOf(sums, replaces), ...parts])];
      });
      sums = new Map(found);
    }
    for (const [name, sum] of sums) feeds.set(name, sum);
  };
  const { first, gradients, look } = stepRounds(manifest);
  round(first, first === "losses" ? "losses before" : first);
  if (gradients) round(gradients);
  once("apply", micros[0]!, feeds);
  if (look) round(look, "losses after");
  once("factors", micros[0]!, feeds);
  const next = manifest.state.map(({ name }): [string, NDArray] => [name, tensorOf(feeds, name)]);
  return { next: new Map(next), told };
}

/** Zeros of what outputs replace, by its name. */
function zerosOf(outputs: readonly (TensorEntry & { readonly replaces?: string })[]): Tensors {
  const zeros = outputs.map(({ replaces = "", dtype, shape }): [string, NDArray] => {
    const sizes = shape.map(Number);
    const count = sizes.reduce((product, size) => product * size, 1);
    return [replaces, { dtype, shape: sizes, data: new Float64Array(count) }];
  });
  return new Map(zeros);
}

function sumOf(arrays: readonly NDArray[]): NDArray {
  return { ...arrays[0]!, data: sumOfArrays(arrays) };
}
