// Dynamic loss scaling (Micikevicius et al., arXiv 1710.03740; the constants are those of PyTorch's
// GradScaler): gradients of a loss times `loss_scale` do not vanish in float16. A step whose gradients are
// not all finite is not applied and halves the scale; a long run of applied ones doubles it. All of it lies
// in the graph, in two state tensors.
import type { GraphBuilder } from "../ir/builder.ts";
import { elementCount, type Value } from "../ir/types.ts";
import type { Parameter } from "../model/parameters.ts";
import { MOST_JOINED } from "../ops/concatSplit.ts";
import { stateInput, stateOutput } from "./stateTensors.ts";

/** State: factor of the loss, float32 scalar, a power of two. */
export const LOSS_SCALE = "optimizer.loss_scale";
/** State: steps applied since the scale last changed, int64 scalar. */
export const SCALED_STEPS = "optimizer.scaled_steps";

/** Within `least` and `most`, scale and 1 / scale are float32's normal numbers, whatever a run meets. */
export const LOSS_SCALING = {
  ...{ initial: 65_536, growth: 2, backoff: 0.5, interval: 2_000 },
  ...{ least: 2 ** -24, most: 2 ** 24 },
} as const;

/** The input `optimizer.loss_scale`, declared once. */
export function lossScaleInput(b: GraphBuilder): Value {
  return stateInput(b, { name: LOSS_SCALE, shape: [] });
}

/**
 * Whether every element of every value is finite, bool scalar. One sum of all tells: it is infinite or NaN
 * where any element is (or where finite ones add up to more than float32 holds, which is an overflow, too),
 * and times 0 it is then NaN.
 */
export function emitAllFinite(b: GraphBuilder, values: readonly Value[]): Value {
  let sums = values.map((value) => sumOfAll(b, value));
  while (sums.length > 1)
    sums = Array.from({ length: Math.ceil(sums.length / MOST_JOINED) }, (_, group) => {
      const joined = sums.slice(group * MOST_JOINED, (group + 1) * MOST_JOINED);
      return sumOfAll(b, joined.length === 1 ? joined[0]! : b.emit("Concat", joined, { axis: 0 }));
    });
  const zero = b.scalar(0);
  const total = b.reshape(sums[0] ?? zero, []);
  return b.emit("Equal", [b.mul(total, zero), zero]);
}

/** The sum of all elements, [1]. */
function sumOfAll(b: GraphBuilder, value: Value): Value {
  const count = elementCount(value.type.shape);
  const flat = b.reshape(value, [count]);
  return count === 1 ? flat : b.reduceSum(flat, [0], 1);
}

/**
 * Runs `body` within the optimizer, of all parameters or of one. Gradients are complete there: divided by the
 * loss scale, float16 would lose what the scale has saved.
 */
export function withinOptimizer<T>(b: GraphBuilder, body: () => T, parameter?: Parameter): T {
  const origin = parameter ? `optimizer(${parameter.name})` : "optimizer";
  return b.within(origin, body, { part: parameter?.part, isFloat32: true });
}

/** What the update of a step needs to know of the scaling. */
export interface ScaledStep {
  /** Bool scalar: the step is applied. */
  readonly isApplied: Value;
  /** Float32 scalar: 1 / loss_scale, exact. */
  readonly unscale: Value;
}

/** Emits the overflow test of the step's complete scaled `gradients` and the next state of the scaling. */
export function emitLossScaling(b: GraphBuilder, gradients: readonly Value[]): ScaledStep {
  return withinOptimizer(b, () => {
    const scale = lossScaleInput(b);
    const steps = stateInput(b, { name: SCALED_STEPS, shape: [], dtype: "int64" });
    const isApplied = emitAllFinite(b, gradients);
    const more = b.add(steps, b.scalar(1, "int64"));
    const isDue = b.emit("GreaterOrEqual", [more, b.scalar(LOSS_SCALING.interval, "int64")]);
    const limited = (op: "Max" | "Min", factor: number, limit: number): Value =>
      b.emit(op, [b.mul(scale, b.scalar(factor)), b.scalar(limit)]);
    const grown = b.where(isDue, limited("Min", LOSS_SCALING.growth, LOSS_SCALING.most), scale);
    const reduced = limited("Max", LOSS_SCALING.backoff, LOSS_SCALING.least);
    const zero = b.scalar(0, "int64");
    stateOutput(b, { name: LOSS_SCALE }, b.where(isApplied, grown, reduced));
    const counted = b.where(isApplied, b.where(isDue, zero, more), zero);
    stateOutput(b, { name: SCALED_STEPS }, counted);
    return { isApplied, unscale: b.div(b.scalar(1), scale) };
  });
}
