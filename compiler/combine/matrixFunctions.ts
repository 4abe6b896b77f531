// Functions of a symmetric matrix [T,T] with eigenvalues in [0, 1], by products of matrices alone: their
// number does not grow with T. All float64. Iterations are those of Higham, Functions of Matrices (2008),
// chapters 5 and 6.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import { diagonal, identity, number } from "./scaledGram.ts";

/** Where iterations have made 1 of a number within 1e-15: a few quadratic steps. */
const LAST_STEPS = 6;
/** How near to the threshold an eigenvalue is told apart from it, as a part of the threshold. */
const TOLD_APART = 1e-3;

/**
 * The projector on the eigenvectors with eigenvalue above `threshold`: (I + sign(matrix - threshold I)) / 2.
 * Newton and Schulz's iteration X (3 I - X^2) / 2, which first takes small numbers times 1.5.
 */
export function emitProjector(b: GraphBuilder, matrix: Value, threshold: number): Value {
  const tasks = concreteDim(matrix.type.shape[0]);
  let sign = b.sub(matrix, identity(b, tasks, threshold));
  const steps = Math.ceil(-Math.log(threshold * TOLD_APART) / Math.log(1.5)) + LAST_STEPS;
  for (let step = 0; step < steps; step++) {
    const square = b.emit("MatMul", [sign, sign]);
    sign = b.emit("Gemm", [square, sign, sign], { alpha: -0.5, beta: 1.5 });
  }
  return b.mul(b.add(sign, identity(b, tasks)), number(b, 0.5));
}

/**
 * matrix^(-1/2) where all eigenvalues are at least `least`: Newton and Schulz's coupled iteration Y T, T Z
 * with T = (3 I - Z Y) / 2 from Y = matrix, Z = I; eigenvalues of Y grow by 9/4 at first.
 */
export function emitRootInverse(b: GraphBuilder, matrix: Value, least: number): Value {
  const tasks = concreteDim(matrix.type.shape[0]);
  const start = identity(b, tasks, 1.5);
  const steps = Math.ceil(-Math.log(least) / Math.log(2.25)) + LAST_STEPS;
  let [root, inverse] = [matrix, identity(b, tasks)];
  for (let step = 0; step < steps; step++) {
    const turn = b.emit("Gemm", [inverse, root, start], { alpha: -0.5 });
    root = b.emit("MatMul", [root, turn]);
    inverse = b.emit("MatMul", [turn, inverse]);
  }
  return inverse;
}

/** Squarings after which eigenvalues that differ by more than a part of 1e-9 are told apart. */
const SQUARINGS = 34;

/**
 * The smallest eigenvalue of `matrix` among those for which `root` is its power -1/2, scalar: root^2, squared
 * again and again, leaves the projector on their eigenvectors.
 */
export function emitLeastEigenvalue(b: GraphBuilder, root: Value, matrix: Value): Value {
  let power = root;
  for (let step = 0; step < SQUARINGS; step++) {
    const square = b.emit("MatMul", [power, power]);
    const size = b.emit("ReduceMax", [diagonal(b, square), b.ints([0])], { keepdims: 0 });
    power = b.div(square, b.emit("Max", [size, number(b, 1e-300)]));
  }
  const trace = (value: Value): Value => b.reduceSum(diagonal(b, value), [0], 0);
  const all = b.emit("Max", [trace(power), number(b, 1e-300)]);
  return b.emit("Max", [b.div(trace(b.emit("MatMul", [power, matrix])), all), number(b, 0)]);
}
