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
import { GRADIENT_WEIGHTS } from "./combination.ts";
import { emitAllFinite, lossScaleInput } from "./lossScaling.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";
import { gradientName } from "./taskGradients.ts";

/** Float32 scalars of each task, in order. */
export interface WeighedLosses {
  readonly tasks: readonly string[];
  /** Mean loss over the labelled rows. */
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
  { learning, scalesLoss }: { readonly learning: Learning; readonly scalesLoss?: boolean | undefined },
  losses: WeighedLosses,
  rest: Value | undefined,
  parameters: ReadonlyMap<string, Value>,
): void {
  const seed = withinCombine(b, () => {
    const factors = b.cast(learning.factors.weights(b, lossInputs(b, learning, losses)), "float32");
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
  learning: Learning,
  losses: WeighedLosses,
  { after, step, isApplied }: StepDone,
): void {
  withinCombine(b, () => {
    const inputs = lossInputs(b, learning, losses);
    const next = learning.factors.moved(b, { ...inputs, after: float64(b, after), step });
    const moves = isApplied && b.emit("And", [isApplied, emitAllFinite(b, after)]);
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

function lossInputs(b: GraphBuilder, { factors, settings }: Learning, losses: WeighedLosses): LossInputs {
  const counts = stacked(b, losses.inverseCounts);
  const present = b.cast(b.emit("Greater", [counts, b.scalar(0)]), "float64");
  const state = factors.state.map((name) => b.cast(stateInput(b, stateTensor(losses, name)), "float64"));
  return { losses: float64(b, losses.means), present, state, settings };
}

function stateTensor({ tasks }: WeighedLosses, name: string): { name: string; shape: number[] } {
  return { name: factorStateName(name), shape: [tasks.length] };
}

function float64(b: GraphBuilder, scalars: readonly Value[]): Value {
  return b.cast(stacked(b, scalars), "float64");
}

/** Scalars as [T]. */
function stacked(b: GraphBuilder, scalars: readonly Value[]): Value {
  const parts = scalars.map((scalar) => b.reshape(scalar, [1]));
  return parts.length === 1 ? need(parts[0], "a loss") : b.emit("Concat", parts, { axis: 0 });
}

function withinCombine<T>(b: GraphBuilder, body: () => T): T {
  return b.within("combine", body, { isFloat32: true });
}
