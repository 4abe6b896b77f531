// IMTL-G: the combination that has the same projection on every task's gradient.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitSolve } from "./linearSolve.ts";
import { emitProjector } from "./matrixFunctions.ts";
import { diagonal, dot, emitCosines, emitLength, identity, number, scaleGram } from "./scaledGram.ts";

/** Eigenvalues of the cosines of T tasks up to this part of T are those of dependent gradients. */
const TOLERANCE = 1e-6;

/**
 * Below this square of the cosine between (1 .. 1) and what gradients reach, no direction serves any of
 * them.
 */
const LEAST_REACH = 1e-9;

/** Keeps divisors above 0. */
const SMALLEST = 1e-150;

/**
 * <d, g_t> / |g_t| is the same for all tasks, d = sum w_t g_t: w = v / |sum v|, G v = (|g_1| .. |g_T|).
 * Solved as C x = 1, v_t = x_t / |g_t|, with the cosines C, so that gradients of very different length do
 * not spoil each other's digits; of dependent gradients x is the shortest one that misses 1 the least, as
 * TorchJD's pseudo-inverse has it, so that opposite ones cancel and equal ones share their weight. Weights
 * sum to 1, as the paper's, LibMTL's and TorchJD's do, and may be negative. They deviate from the published
 * v / sum v in two ways. From three tasks on sum v may be negative, and d would raise every loss: it is
 * divided by |sum v|, and the projections are positive. It may be near 0, and d would have no bound: d is
 * at most as long as the longest gradient, which it always is where no weight is negative. A gradient of 0
 * takes no part.
 */
export const imtl: Combiner = {
  kind: "gradients",
  name: "imtl",
  doc:
    "the same projection on each task's gradient (IMTL-G); weights sum to 1 or -1 and may be negative, the " +
    "result is at most as long as the longest gradient",
  source: "Liu et al. 2021, Towards Impartial Multi-task Learning, ICLR",
  settings: {},
  ignoresLengths: true,
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { cosines, active, inverseNorm } = emitCosines(b, scaled);
    const { x, reach } = impartial(b, cosines, active);
    const v = b.mul(x, inverseNorm);
    const longest = b.emit("Sqrt", [
      b.emit("ReduceMax", [diagonal(b, scaled.gram), b.ints([0])], { keepdims: 0 }),
    ]);
    const sum = b.emit("Max", [b.emit("Abs", [b.reduceSum(v, [0], 0)]), number(b, SMALLEST)]);
    const bound = b.div(longest, emitLength(b, cosines, x));
    const scale = b.emit("Min", [b.div(number(b, 1), sum), bound]);
    const isReached = b.emit("Greater", [reach, number(b, LEAST_REACH)]);
    return b.where(isReached, b.mul(v, scale), number(b, 0));
  },
};

/**
 * x [T] with cosines x = 1 for active tasks, 0 for idle ones, by the pseudo-inverse; and how much of 1 is
 * reached, scalar from 0 to 1.
 */
function impartial(
  b: GraphBuilder,
  cosines: Value,
  active: Value,
): { readonly x: Value; readonly reach: Value } {
  const tasks = concreteDim(active.type.shape[0]);
  const projector = emitProjector(b, b.div(cosines, number(b, tasks)), TOLERANCE);
  const rest = b.sub(identity(b, tasks), projector);
  const regular = b.add(b.emit("MatMul", [cosines, projector]), rest);
  const reached = b.emit("MatMul", [projector, active]);
  const count = b.emit("Max", [b.reduceSum(active, [0], 0), number(b, 1)]);
  return { x: emitSolve(b, regular, reached), reach: b.div(dot(b, active, reached), count) };
}
