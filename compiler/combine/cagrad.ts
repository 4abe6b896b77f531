// CAGrad: near the mean gradient, the direction in which the worst task gains most.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitPivoting, emitRefined, type Problems } from "./parametricPivoting.ts";
import { dot, emitCosines, emitLength, identity, number, scaleGram, settingOf } from "./scaledGram.ts";

/** Keeps the matrix of cosines of dependent gradients invertible. */
const REGULARIZATION = 1e-9;

/**
 * Part of x' x that counts in |r|^2: along gradients that cancel, weights grow and r does not, and so do
 * its errors if the matrix has some.
 */
const DOUBT = 1e-8;

/**
 * With g0 = sum u_t g_t, u = 1 / T over present tasks: max over d of min_t <g_t, d> where |d - g0| <= c
 * |g0|. For a gain s of the worst task the shortest r = d - g0 that reaches it is sum v_t g_t with v >= 0,
 * y = G v + G u - s >= 0, v' y = 0: a path of s = -lambda, in x_t = v_t |g_t|, so that short gradients keep
 * their digits. It is followed until |r| = c |g0|; then weights = u + v. The scale is that of the paper's d
 * and of TorchJD: near the mean of the gradients, 1 / T of `sum`; the authors' code and LibMTL divide by 1
 * + c^2 as well. c = 0 is the mean. Where the mean gradient is 0, so is the result. A gradient of 0 counts
 * in the mean and nowhere else. Which of several equal gradients gets weight is no matter to the sum.
 */
export const cagrad: Combiner = {
  kind: "gradients",
  name: "cagrad",
  doc: "the mean of the gradients, moved by up to c of its length towards the task that gains least",
  source: "Liu et al. 2021, arXiv 2110.14048",
  settings: {
    c: {
      ...{ default: 0.5, least: 0, most: 10 },
      doc: "How far the result may lie from the mean gradient, as a part of its length.",
    },
  },
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { tasks, gram, share } = scaled;
    const { cosines, inverseNorm } = emitCosines(b, scaled);
    const c = settingOf(inputs, "c");
    const batched = (value: Value): Value => b.reshape(value, [1, tasks, tasks]);
    const matrix = batched(b.add(cosines, identity(b, tasks, REGULARIZATION)));
    const measure = batched(b.add(cosines, identity(b, tasks, DOUBT)));
    const gains = b.emit("MatMul", [gram, share]);
    const radius = b.mul(number(b, c * c), b.emit("Max", [dot(b, share, gains), number(b, 0)]));
    const column = (value: Value): Value => b.reshape(value, [1, tasks, 1]);
    const problems: Problems = {
      ...{ matrix, leastPivot: REGULARIZATION / 2 },
      ...{ q: column(b.mul(gains, inverseNorm)), d: column(inverseNorm) },
      // the worst task's gain is at most |g_t| |d| <= 1 + c in a matrix of trace 1
      floor: -2 - c,
      isPast: ({ basic, level, slope }, lambda) => {
        const x = b.mul(basic, b.add(level, b.mul(lambda, slope)));
        return b.emit("GreaterOrEqual", [form(b, measure, x, x), radius]);
      },
    };
    const state = emitPivoting(b, problems);
    const level = emitRefined(b, { matrix, rhs: problems.q, value: state.level, state });
    const slope = emitRefined(b, { matrix, rhs: problems.d, value: state.slope, state });
    const end = b.add(level, b.mul(crossing(b, { measure, level, slope, radius }), slope));
    const x = b.reshape(b.emit("Max", [end, number(b, 0)]), [tasks]);
    // a matrix that is off may have no crossing
    const stretch = b.div(b.emit("Sqrt", [radius]), emitLength(b, cosines, x, DOUBT));
    return b.add(share, b.mul(b.mul(x, b.emit("Min", [stretch, number(b, 1)])), inverseNorm));
  },
};

/** x' A y of columns [1,T,1], as [1,1,1]. */
function form(b: GraphBuilder, matrix: Value, x: Value, y: Value): Value {
  return b.reduceSum(b.mul(x, b.emit("MatMul", [matrix, y])), [1], 1);
}

/** The smaller lambda with |level + lambda slope|^2 = radius in the norm of `measure`; 0 where slope is 0. */
function crossing(
  b: GraphBuilder,
  { measure, level, slope, radius }: Readonly<Record<"measure" | "level" | "slope" | "radius", Value>>,
): Value {
  const square = form(b, measure, slope, slope);
  const middle = form(b, measure, level, slope);
  const rest = b.sub(form(b, measure, level, level), radius);
  const inner = b.emit("Max", [b.sub(b.mul(middle, middle), b.mul(square, rest)), number(b, 0)]);
  const isFlat = b.emit("Equal", [square, number(b, 0)]);
  const root = b.neg(b.add(middle, b.emit("Sqrt", [inner])));
  return b.div(root, b.where(isFlat, number(b, 1), square));
}
