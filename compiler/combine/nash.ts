// Nash-MTL: tasks bargain; each gains in proportion to what its weight costs the others.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import type { Combiner } from "./combiner.ts";
import { emitSolve } from "./linearSolve.ts";
import { dot, emitCosines, emitLength, identity, number, scaleGram, settingOf } from "./scaledGram.ts";

/**
 * Of beta^4 / 4 in what is minimized: opposite gradients would bargain without end. Numbers about 1 do
 * not feel it, none grows above some 300, and the minimum is there for cosines that are off by up to 1e-5.
 */
const RESTRAINT = 1e-10;

/** Newton steps; after so many test/combine finds the equation of up to 40 tasks solved. */
const NEWTON_STEPS = 20;

/** Newton decrements above this are damped; below 1 a whole step keeps all numbers positive. */
const DAMPED = 0.5;

/** The mean cosine, at least, that the first numbers are made for. */
const SMALLEST_MEAN = 1e-5;

/**
 * alpha > 0 with G alpha = 1 / alpha, after G is divided by its Frobenius norm. With the cosines C and
 * alpha_t = beta_t / |g_t| it is C beta = 1 / beta, the minimum of the self-concordant beta' C beta / 2 +
 * sum RESTRAINT beta_t^4 / 4 - log beta_t, found by damped Newton steps. The authors', LibMTL's and
 * TorchJD's convex-concave iteration stops before it is there; here alpha is exact. Then, as theirs, alpha
 * is scaled down where the combined vector is longer than max_norm. A gradient of 0 takes no part; opposite
 * gradients cancel.
 */
export const nash: Combiner = {
  kind: "gradients",
  name: "nash",
  doc: "the tasks' Nash bargain, G w = 1 / w; the result is at most max_norm long",
  source: "Navon et al. 2022, arXiv 2202.01017",
  settings: {
    max_norm: {
      ...{ default: 1, least: 0, most: 1e6 },
      doc: "The most that the combined gradient may measure, as the authors' 1; 0 sets no bound.",
    },
  },
  ignoresLengths: true,
  weights: (b, inputs) => {
    const scaled = scaleGram(b, inputs);
    const { gram, trace } = scaled;
    const { cosines, active, inverseNorm } = emitCosines(b, scaled);
    const beta = b.mul(bargain(b, cosines, active), active);
    const frobenius = b.emit("Sqrt", [b.reduceSum(b.mul(gram, gram), [0, 1], 0)]);
    const size = b.emit("Sqrt", [frobenius]);
    const alpha = b.mul(b.mul(beta, inverseNorm), size);
    const most = settingOf(inputs, "max_norm");
    if (most === 0) return alpha;
    const norm = b.mul(emitLength(b, cosines, beta), b.mul(size, b.emit("Sqrt", [trace])));
    return b.mul(alpha, b.div(number(b, most), b.emit("Max", [norm, number(b, most)])));
  },
};

/**
 * beta [T] > 0 with matrix beta + RESTRAINT beta^3 = 1 / beta; 1 for idle tasks from the start. The
 * others begin with equal numbers, the best such ones, which two tasks are done with.
 */
function bargain(b: GraphBuilder, matrix: Value, active: Value): Value {
  const one = number(b, 1);
  const tasks = concreteDim(active.type.shape[0]);
  const restraint = number(b, RESTRAINT);
  const count = b.reduceSum(active, [0], 1);
  const common = b.emit("MatMul", [matrix, active]);
  const least = b.mul(b.emit("Max", [count, one]), number(b, SMALLEST_MEAN));
  const equal = b.emit("Sqrt", [b.div(count, b.emit("Max", [dot(b, active, common), least]))]);
  let beta = b.add(b.mul(active, equal), b.sub(one, active));
  for (let step = 0; step < (tasks === 2 ? 2 : NEWTON_STEPS); step++) {
    const inverse = b.div(one, beta);
    const held = b.mul(b.mul(beta, beta), restraint);
    const slope = b.sub(b.add(b.emit("MatMul", [matrix, beta]), b.mul(held, beta)), inverse);
    const bend = b.add(b.mul(inverse, inverse), b.mul(held, number(b, 3)));
    const curve = b.add(matrix, b.mul(identity(b, tasks), bend));
    const move = emitSolve(b, curve, slope);
    const decrement = b.emit("Sqrt", [b.emit("Max", [dot(b, slope, move), number(b, 0)])]);
    const isFar = b.emit("Greater", [decrement, number(b, DAMPED)]);
    beta = b.sub(beta, b.div(move, b.where(isFar, b.add(one, decrement), one)));
  }
  return beta;
}
