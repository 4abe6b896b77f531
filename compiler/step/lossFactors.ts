// Factors of losses that a step learns: they are made before the reverse sweep, of the losses and of state of
// their own, and moved after the update by what the step did to the losses of its batch, which a further
// forward pass of the same batch tells.
import { appendCotangents, zerosLike } from "../autodiff/reverse.ts";
import { nextName } from "../bundle/manifest.ts";
import type { LossInputs } from "../combine/combiner.ts";
import type { Learning } from "../combine/combiners.ts";
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import { sumOverRanks } from "../ops/allGather.ts";
import { GRADIENT_WEIGHTS } from "./combination.ts";
import { emitAllFinite, lossScaleInput } from "./lossScaling.ts";
import { addToLossSum, type LossSum, lossSumInput } from "./lossSums.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";
import { gradientName } from "./taskGradients.ts";

/** How factors are learned, and by how many processes that each have their share of the rows; default 1. */
export interface LearnedTogether {
  readonly learning: Learning;
  readonly ranks?: number | undefined;
}

/** The tasks, in order, and of each 1 / labelled rows of the logical batch, else 0: float32 scalars. */
export interface CountedTasks {
  readonly tasks: readonly string[];
  readonly inverseCounts: readonly Value[];
}

/** What a micro-batch's rows in this process add to the mean losses of the logical batch: float32 scalars. */
export interface WeighedLosses extends CountedTasks {
  readonly means: readonly Value[];
}

/** Where factors know the losses of the whole batch from. */
export type LossSource =
  /** The rows that gradients are of, those of other processes too. */
  | "batch"
  /** A look at all micro-batches before the first gradient. */
  | "looks";

/** Name of a state tensor of the factors, float32 [T]. */
export function factorStateName(name: string): string {
  return `combine.${name}`;
}

/**
 * Declares the gradients of `parameters`, by name, of sum(factor loss) + `rest` with the factors held fixed,
 * times the loss scale where the model scales its loss; and the factors, as output of the role
 * "gradient_weights".
 */
export function emitFactoredGradients(
  b: GraphBuilder,
  model: LearnedTogether & { readonly scalesLoss?: boolean | undefined; readonly source: LossSource },
  losses: WeighedLosses,
  rest: Value | undefined,
  parameters: ReadonlyMap<string, Value>,
): void {
  const { learning, scalesLoss, source, ranks = 1 } = model;
  const seed = withinCombine(b, () => {
    const whole =
      source === "looks"
        ? lossSumInput(b, "looks", losses.tasks)
        : need(sumOverRanks(b, [stacked(b, losses.means)], ranks)[0], "the losses");
    const inputs = lossInputs(b, learning, losses, whole);
    const factors = b.cast(learning.factors.weights(b, inputs), "float32");
    b.output(GRADIENT_WEIGHTS, factors, { role: "gradient_weights", tasks: losses.tasks });
    const all = rest ? b.emit("Concat", [factors, b.reshape(b.scalar(1), [1])], { axis: 0 }) : factors;
    return scalesLoss ? b.mul(all, lossScaleInput(b)) : all;
  });
  const value = b.within("objective", () => stacked(b, rest ? [...losses.means, rest] : losses.means));
  const gradients = appendCotangents(b, value, seed, [...parameters.values()]);
  for (const [name, parameter] of parameters)
    b.output(gradientName(name), gradients.get(parameter) ?? zerosLike(b, parameter));
}

/** Adds a micro-batch's losses to a sum of them. */
export function emitLossSum(
  b: GraphBuilder,
  sum: LossSum,
  { tasks, means }: Omit<WeighedLosses, "inverseCounts">,
): void {
  withinCombine(b, () => addToLossSum(b, sum, tasks, stacked(b, means)));
}

/** What moves the factors, beside the counts of labels. */
export interface StepDone {
  /** The mean losses of the logical batch by the parameters before the step, and after it: float32 [T]. */
  readonly before: Value;
  readonly after: Value;
  /** Steps applied up to this one, int64 scalar. */
  readonly step: Value;
  /**
   * Bool scalar where the model scales its loss: a step that overflowed moves nothing, nor do losses that
   * overflow after it.
   */
  readonly isApplied: Value | undefined;
}

/** Declares the next state of the factors. */
export function emitMovedFactors(
  b: GraphBuilder,
  learning: Learning,
  counted: CountedTasks,
  { before, after, step, isApplied }: StepDone,
): void {
  withinCombine(b, () => {
    const inputs = lossInputs(b, learning, counted, before);
    const next = learning.factors.moved(b, { ...inputs, after: b.cast(after, "float64"), step });
    const moves = isApplied && b.emit("And", [isApplied, emitAllFinite(b, [after])]);
    for (const [i, name] of learning.factors.state.entries()) {
      const tensor = stateTensor(counted, name);
      const moved = b.cast(need(next[i], name), "float32");
      stateOutput(b, tensor, moves ? b.where(moves, moved, stateInput(b, tensor)) : moved);
    }
  });
}

/** Losses as emitMovedFactors takes them, of a batch that is there as a whole. */
export function wholeLosses(b: GraphBuilder, means: readonly Value[]): Value {
  return withinCombine(b, () => stacked(b, means));
}

/** The same, summed up over its parts. */
export function summedLosses(b: GraphBuilder, sum: LossSum, tasks: readonly string[]): Value {
  return withinCombine(b, () => lossSumInput(b, sum, tasks));
}

/** The output that holds the next value of a state tensor, as far as the graph declares it. */
export function nextValues(b: GraphBuilder, names: readonly string[]): ReadonlyMap<string, Value> {
  const outputs = new Map(b.build().outputs.map(({ name, value }) => [name, value]));
  return new Map(names.map((name) => [name, need(outputs.get(nextName(name)), name)]));
}

/** `whole`: the mean losses of the logical batch, float32 [T]. */
function lossInputs(
  b: GraphBuilder,
  { factors, settings }: Learning,
  counted: CountedTasks,
  whole: Value,
): LossInputs {
  const counts = stacked(b, counted.inverseCounts);
  const present = b.cast(b.emit("Greater", [counts, b.scalar(0)]), "float64");
  const state = factors.state.map((name) => b.cast(stateInput(b, stateTensor(counted, name)), "float64"));
  return { losses: b.cast(whole, "float64"), present, state, settings };
}

function stateTensor({ tasks }: CountedTasks, name: string): { name: string; shape: number[] } {
  return { name: factorStateName(name), shape: [tasks.length] };
}

/** Scalars as [T]. */
function stacked(b: GraphBuilder, scalars: readonly Value[]): Value {
  const parts = scalars.map((scalar) => b.reshape(scalar, [1]));
  return parts.length === 1 ? need(parts[0], "a loss") : b.emit("Concat", parts, { axis: 0 });
}

function withinCombine<T>(b: GraphBuilder, body: () => T): T {
  return b.within("combine", body, { isFloat32: true });
}
