// Factors of losses that a step learns: they are made before the reverse sweep, of the losses and of state of
// their own, and moved after the update by what the step did to the losses of its batch, which a second
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
import { stateInput, stateOutput } from "./stateTensors.ts";
import { gradientName } from "./taskGradients.ts";

/** How factors are learned, and by how many processes that each have their share of the rows; default 1. */
export interface LearnedTogether {
  readonly learning: Learning;
  readonly ranks?: number | undefined;
}

/** Float32 scalars of each task, in order. */
export interface WeighedLosses {
  readonly tasks: readonly string[];
  /** Mean loss over the labelled rows: what this process's rows add to it. */
  readonly means: readonly Value[];
  /** 1 / labelled rows, 0 without any. */
  readonly inverseCounts: readonly Value[];
}

/** Name of a state tensor of the factors, float32 [T]. */
export function factorStateName(name: string): string {
  return `combine.${name}`;
}

/**
 * Declares the gradients of `parameters`, by name, of sum(factor loss) + `rest` with the factors held fixed, times
 * the loss scale where the model scales its loss; and the factors, as output of the role "gradient_weights".
 */
export function emitFactoredGradients(
  b: GraphBuilder,
  model: LearnedTogether & { readonly scalesLoss?: boolean | undefined },
  losses: WeighedLosses,
  rest: Value | undefined,
  parameters: ReadonlyMap<string, Value>,
): void {
  const { learning, scalesLoss } = model;
  const seed = withinCombine(b, () => {
    const whole = overRanks(b, [losses.means], model)[0]!;
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

/** What moves the factors: the losses by the parameters after the step, and the count of applied steps. */
export interface StepDone {
  /** As WeighedLosses' means. */
  readonly after: readonly Value[];
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
  together: LearnedTogether,
  losses: WeighedLosses,
  { after, step, isApplied }: StepDone,
): void {
  const { learning } = together;
  withinCombine(b, () => {
    const [before, wholeAfter] = overRanks(b, [losses.means, after], together) as [Value, Value];
    const inputs = lossInputs(b, learning, losses, before);
    const next = learning.factors.moved(b, { ...inputs, after: b.cast(wholeAfter, "float64"), step });
    const moves = isApplied && b.emit("And", [isApplied, emitAllFinite(b, [wholeAfter])]);
    for (const [i, name] of learning.factors.state.entries()) {
      const tensor = stateTensor(losses, name);
      const moved = b.cast(need(next[i], name), "float32");
      stateOutput(b, tensor, moves ? b.where(moves, moved, stateInput(b, tensor)) : moved);
    }
  });
}

/** The output that holds the next value of a state tensor, as far as the graph declares it. */
export function nextValues(b: GraphBuilder, names: readonly string[]): ReadonlyMap<string, Value> {
  const outputs = new Map(b.build().outputs.map(({ name, value }) => [name, value]));
  return new Map(names.map((name) => [name, need(outputs.get(nextName(name)), name)]));
}

/** Scalars of the tasks as [T], each summed over the processes in one exchange. */
function overRanks(
  b: GraphBuilder,
  means: readonly (readonly Value[])[],
  { ranks = 1 }: LearnedTogether,
): readonly Value[] {
  const own = means.map((scalars) => stacked(b, scalars));
  return sumOverRanks(b, own, ranks);
}

/** `whole`: the means of all processes' rows, float32 [T]. */
function lossInputs(
  b: GraphBuilder,
  { factors, settings }: Learning,
  losses: WeighedLosses,
  whole: Value,
): LossInputs {
  const counts = stacked(b, losses.inverseCounts);
  const present = b.cast(b.emit("Greater", [counts, b.scalar(0)]), "float64");
  const state = factors.state.map((name) => b.cast(stateInput(b, stateTensor(losses, name)), "float64"));
  return { losses: b.cast(whole, "float64"), present, state, settings };
}

function stateTensor({ tasks }: WeighedLosses, name: string): { name: string; shape: number[] } {
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
