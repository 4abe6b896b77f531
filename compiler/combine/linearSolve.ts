// A linear system of T equations as standard operators: ONNX has no inverse.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import { number } from "./scaledGram.ts";

/**
 * Pivots below this count as this much: those of a singular matrix. Matrices here have a diagonal of about
 * 1.
 */
const SMALLEST_PIVOT = 1e-12;

/**
 * x [T] with A x = rhs for a symmetric positive definite A [T,T] and rhs [T]; float64. Gauss-Jordan
 * elimination without exchanges, which such a matrix does not need.
 */
export function emitSolve(b: GraphBuilder, matrix: Value, rhs: Value): Value {
  const tasks = concreteDim(rhs.type.shape[0]);
  let table = b.emit("Concat", [matrix, b.reshape(rhs, [tasks, 1])], { axis: 1 });
  for (let k = 0; k < tasks; k++) {
    const row = b.slice(table, [k], [k + 1], [0]);
    const column = b.slice(table, [k], [k + 1], [1]);
    const pivot = b.emit("Max", [b.slice(column, [k], [k + 1], [0]), number(b, SMALLEST_PIVOT)]);
    const factors = b.div(b.sub(column, unitColumn(b, tasks, k)), pivot);
    table = b.emit("Gemm", [factors, row, table], { alpha: -1 });
  }
  return b.reshape(b.slice(table, [tasks], [tasks + 1], [1]), [tasks]);
}

/** [T,1] 1 at k, else 0. */
function unitColumn(b: GraphBuilder, tasks: number, k: number): Value {
  const data = new Float64Array(tasks);
  data[k] = 1;
  return b.constant({ dtype: "float64", shape: [tasks, 1], data });
}
