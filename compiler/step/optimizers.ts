// Optimizers in Keras's form, as fragments of a graph: from a parameter, its gradient and its slots to their
// next values. The arithmetic itself is an own operator (ops/optimizerUpdates.ts), so that each target can
// spell it well.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { Spec } from "../spec/schema.ts";
import { normOf } from "./gradientNorm.ts";

export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-7 } as const;
const MOMENTUM = { momentum: 0.9 } as const;
/** LARS: share of a tensor's norm that a step of learning rate 1 moves it by. */
const TRUST = 1e-3;

/** Scalars that all updates of a step share. */
export interface StepScalars {
  /** float32: the learning rate, for adam and adamw with the bias corrections in it. */
  readonly rate: Value;
  /** float32: the bare learning rate. */
  readonly learningRate: Value;
}

/** What is updated: a parameter, or several joined ones that are alike. */
export interface UpdateInputs {
  readonly parameter: Value;
  readonly gradient: Value;
  readonly slots: readonly Value[];
  /** Whether weight decay is for it: kernels. */
  readonly isDecayed: boolean;
  readonly weightDecay: number;
}

export interface Optimizer {
  /** Names of the slots that it keeps per parameter, all starting at zero. */
  readonly slots: readonly string[];
  /**
   * What weight decay is:
   * - penalty: a term of the loss; its gradient wd w is part of the gradient, and clipped with it
   * - decoupled: the weights themselves shrink by lr wd before the update
   * - own: the update's own business
   */
  readonly decay: "penalty" | "decoupled" | "own";
  /** Whether the update of a kernel depends on all of its numbers: it is not joined with others. */
  readonly isPerTensor: boolean;
  /** `step` is the int64 count of this step, from 1 on. */
  readonly scalars: (b: GraphBuilder, learningRate: Value, step: Value) => StepScalars;
  /** [next parameter, ...next slots]. */
  readonly update: (b: GraphBuilder, inputs: UpdateInputs, scalars: StepScalars) => readonly Value[];
}

/**
 * Adam (arXiv 1412.6980 in Keras's form): w -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps). The powers
 * are taken in float64: 1 - 0.999^t loses half its digits in float32 at t = 1.
 */
const adam: Optimizer = {
  slots: ["m", "v"],
  decay: "penalty",
  isPerTensor: false,
  scalars: (b, learningRate, step) => {
    const t = b.cast(step, "float64");
    const one = b.scalar(1, "float64");
    const correction = (beta: number) => b.sub(one, b.emit("Pow", [b.scalar(beta, "float64"), t]));
    const ratio = b.div(b.emit("Sqrt", [correction(ADAM.beta2)]), correction(ADAM.beta1));
    return { learningRate, rate: b.cast(b.mul(b.cast(learningRate, "float64"), ratio), "float32") };
  },
  update: (b, { parameter, gradient, slots }, { rate }) =>
    b.emitAll("AdamUpdate", [parameter, gradient, ...slots, rate], ADAM, 3),
};

/** Momentum (Keras SGD): v = 0.9 v - lr g; w += v. */
const momentum: Optimizer = {
  slots: ["velocity"],
  decay: "penalty",
  isPerTensor: false,
  scalars: (_b, learningRate) => ({ learningRate, rate: learningRate }),
  update: (b, { parameter, gradient, slots }, { rate }) =>
    b.emitAll("MomentumUpdate", [parameter, gradient, ...slots, rate], MOMENTUM, 2),
};

/**
 * LARS (You et al., arXiv 1708.03888, in the form of SimCLR's LARSOptimizer, which patchwork has): of a
 * kernel g' = g + wd w, and momentum with the rate lr TRUST |w| / |g'|, with lr where either norm is 0; biases,
 * norms and adaptive weights: momentum alone.
 */
const lars: Optimizer = {
  ...momentum,
  decay: "own",
  isPerTensor: true,
  update: (b, inputs, scalars) => {
    const { parameter, gradient, isDecayed, weightDecay } = inputs;
    if (!isDecayed) return momentum.update(b, inputs, scalars);
    const pulled = weightDecay > 0 ? b.add(gradient, b.mul(parameter, b.scalar(weightDecay))) : gradient;
    const [ofWeights, ofGradient] = [normOf(b, parameter), normOf(b, pulled)];
    const zero = b.scalar(0);
    const isThere = b.emit("Greater", [b.emit("Min", [ofWeights, ofGradient]), zero]);
    // Where a norm is 0 the quotient is not used, but must not be one by 0.
    const divisor = b.where(isThere, ofGradient, b.scalar(1));
    const ratio = b.where(isThere, b.mul(b.div(ofWeights, divisor), b.scalar(TRUST)), b.scalar(1));
    // A gradient that is not finite shows, where a rate of 0 would hide it.
    const trust = b.add(ratio, b.mul(ofGradient, zero));
    return momentum.update(
      b,
      { ...inputs, gradient: pulled },
      { ...scalars, rate: b.mul(scalars.rate, trust) },
    );
  },
};

export const OPTIMIZERS: Readonly<Record<Spec["optimizer"], Optimizer>> = {
  adam,
  adamw: { ...adam, decay: "decoupled" },
  momentum,
  lars,
};
