// Optimizers in Keras's form, as fragments of a graph: from a parameter, its gradient and its slots to their
// next values. The arithmetic itself is an own operator (ops/optimizerUpdates.ts), so that each target can
// spell it well.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";

export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const;
export const MOMENTUM = { momentum: 0.9 } as const;

/** Scalars that all updates of a step share. */
export interface StepScalars {
  /** float32: the learning rate, for adam and adamw with the bias corrections in it. */
  readonly rate: Value;
  /** float32: the bare learning rate. */
  readonly learningRate: Value;
}

export interface Optimizer {
  /** Names of the slots that it keeps per parameter, all starting at zero. */
  readonly slots: readonly string[];
  /** Whether weight decay is applied to the weights themselves instead of being added to the gradient. */
  readonly decoupledDecay: boolean;
  /** `step` is the int64 count of this step, from 1 on. */
  readonly scalars: (b: GraphBuilder, learningRate: Value, step: Value) => StepScalars;
  /** [next parameter, ...next slots]. */
  readonly update: (
    b: GraphBuilder,
    parameter: Value,
    gradient: Value,
    slots: readonly Value[],
    scalars: StepScalars,
  ) => readonly Value[];
}

/**
 * Adam (arXiv 1412.6980 in Keras's form): w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps). The powers
 * are taken in float64: 1 - 0.999^t loses half its digits in float32 at t = 1.
 */
const adam: Optimizer = {
  slots: ["m", "v"],
  decoupledDecay: false,
  scalars: (b, learningRate, step) => {
    const t = b.cast(step, "float64");
    const one = b.scalar(1, "float64");
    const correction = (beta: number) => b.sub(one, b.emit("Pow", [b.scalar(beta, "float64"), t]));
    const ratio = b.div(b.emit("Sqrt", [correction(ADAM.beta2)]), correction(ADAM.beta1));
    return { learningRate, rate: b.cast(b.mul(b.cast(learningRate, "float64"), ratio), "float32") };
  },
  update: (b, parameter, gradient, slots, { rate }) =>
    b.emitAll("AdamUpdate", [parameter, gradient, ...slots, rate], ADAM, 3),
};

/** Momentum (Keras SGD): v = 0.9 v - lr g; w += v. */
const momentum: Optimizer = {
  slots: ["velocity"],
  decoupledDecay: false,
  scalars: (_b, learningRate) => ({ learningRate, rate: learningRate }),
  update: (b, parameter, gradient, slots, { rate }) =>
    b.emitAll("MomentumUpdate", [parameter, gradient, ...slots, rate], MOMENTUM, 2),
};

export const OPTIMIZERS: Readonly<Record<Spec["optimizer"], Optimizer>> = {
  adam,
  adamw: { ...adam, decoupledDecay: true },
  momentum,
};
