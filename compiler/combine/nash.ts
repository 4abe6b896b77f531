// Nash-MTL: tasks bargain; each gains in proportion to what its weight costs the others.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitSolve } from "./linearSolve.ts";
import { dot, emitCosines, identity, number, scaleGram, settingOf } from "./scaledGram.ts";

/** Keeps the matrix of cosines of dependent gradients positive: opposite ones would bargain without end. */
const REGULARIZATION = 1e-9;

/** Newton steps; test/combine counts how many are needed. */
const NEWTON_STEPS = 20;

/** Newton decrements above this are damped; below 1 a whole step keeps all numbers positive. */
const DAMPED = 0.5;

/** The mean cosine, at least, that the first numbers are made for. */
const SMALLEST_MEAN = 1e-6;

/**
 * alpha > 0 with G alpha = 1 / alpha, after G is divided by its Frobenius norm. With the cosines C and
 * alpha_t = beta_t / |g_t| it is C beta = 1 / beta, the minimum of the self-concordant beta' C beta / 2 -
 * sum log beta_t, found by damped Newton steps. The authors', LibMTL's and TorchJD's convex-concave iteration
 * stops before it is there; here alpha is exact. Then, as theirs, alpha is scaled down where the combined
 * vector is longer than max_norm. A gradient of 0 takes no part; opposite gradients cancel.
 */
export const nash: Combiner = {
  name: "nash",
  doc: "the tasks' Nash bargain, G w = 1 / w; the result is at most max_norm long",
  source: "Navon et al. 2022, arXiv 2202.01017",
  settings: {
    max_norm: {
      ...{ default: 1, least: 0, most: 1e6 },
      doc: "The most that the combined gradient may measure, as the authors' 1; 0 sets no bound.",
    },
  },
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { tasks, gram, trace } = scaled;
    const { cosines, active, inverseNorm } = emitCosines(b, scaled);
    const matrix = b.add(cosines, identity(b, tasks, REGULARIZATION));
    const beta = bargain(b, matrix, active);
    const frobenius = b.emit("Sqrt", [b.reduceSum(b.mul(gram, gram), [0, 1], 0)]);
    const alpha = b.mul(b.mul(beta, inverseNorm), b.mul(active, b.emit("Sqrt", [frobenius])));
    const most = settingOf(inputs, "max_norm");
    if (most === 0) return alpha;
    const square = b.emit("Max", [dot(b, alpha, b.emit("MatMul", [gram, alpha])), number(b, 0)]);
    const norm = b.emit("Sqrt", [b.mul(square, trace)]);
    return b.mul(alpha, b.div(number(b, most), b.emit("Max", [norm, number(b, most)])));
  },
};

/**
 * beta [T] > 0 with matrix beta = 1 / beta; 1 for idle tasks from the start. The others begin with equal
 * numbers, the best such ones, which two tasks are done with.
 */
function bargain(b: GraphBuilder, matrix: Value, active: Value): Value {
  const one = number(b, 1);
  const tasks = concreteDim(active.type.shape[0]);
  const count = b.reduceSum(active, [0], 1);
  const common = b.emit("MatMul", [matrix, active]);
  const least = b.mul(b.emit("Max", [count, one]), number(b, SMALLEST_MEAN));
  const equal = b.emit("Sqrt", [b.div(count, b.emit("Max", [dot(b, active, common), least]))]);
  let beta = b.add(b.mul(active, equal), b.sub(one, active));
  for (let step = 0; step < (tasks === 2 ? 2 : NEWTON_STEPS); step++) {
    const inverse = b.div(one, beta);
    const slope = b.sub(b.emit("MatMul", [matrix, beta]), inverse);
    const curve = b.add(matrix, b.mul(identity(b, tasks), b.mul(inverse, inverse)));
    const move = emitSolve(b, curve, slope);
    const decrement = b.emit("Sqrt", [b.emit("Max", [dot(b, slope, move), number(b, 0)])]);
    const isFar = b.emit("Greater", [decrement, number(b, DAMPED)]);
    beta = b.sub(beta, b.div(move, b.where(isFar, b.add(one, decrement), one)));
  }
  return beta;
}
