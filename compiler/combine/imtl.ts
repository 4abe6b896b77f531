// IMTL-G: the combination that has the same projection on every task's gradient.
import type { Combiner } from "./combiner.ts";
import { emitSolve } from "./linearSolve.ts";
import { emitCosines, identity, number, scaleGram } from "./scaledGram.ts";

/** Keeps the matrix of cosines of dependent gradients invertible. */
const REGULARIZATION = 1e-9;

/** A sum of weights below this, of weights of about 1, is 0: nothing can be scaled to a sum of 1. */
const SMALLEST_SUM = 1e-12;

/**
 * sum w = 1 and <d, g_t> / |g_t| the same for all tasks, d = sum w_t g_t: w = v / sum v, G v = (|g_1| ..
 * |g_T|). Solved as C x = 1, v_t = x_t / |g_t|, with the cosines C, so that gradients of very different
 * length do not spoil each other's digits. Weights sum to 1, as the paper's, LibMTL's and TorchJD's do.
 * They may be negative, as the paper's formula has it. A gradient of 0 takes no part. Where gradients are
 * dependent and no direction serves all, as opposite ones, the combined vector is 0; equal gradients share
 * their weight.
 */
export const imtl: Combiner = {
  name: "imtl",
  doc: "the same projection on each task's gradient (IMTL-G); weights sum to 1 and may be negative",
  source: "Liu et al. 2021, Towards Impartial Multi-task Learning, ICLR",
  settings: {},
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { cosines, active, inverseNorm } = emitCosines(b, scaled);
    const matrix = b.add(cosines, identity(b, scaled.tasks, REGULARIZATION));
    const v = b.mul(emitSolve(b, matrix, active), inverseNorm);
    const sum = b.reduceSum(v, [0], 1);
    const isSmall = b.emit("Less", [b.emit("Abs", [sum]), number(b, SMALLEST_SUM)]);
    const scale = b.where(isSmall, number(b, 0), b.div(number(b, 1), b.where(isSmall, number(b, 1), sum)));
    return b.mul(v, scale);
  },
};
