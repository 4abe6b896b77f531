// Linear complementarity problems, of which the quadratic programs of several methods are made: for a
// symmetric positive definite A find z >= 0 with w = A z + q >= 0 and z' w = 0. Cottle's parametric
// principal pivoting (Cottle, Pang, Stone, The Linear Complementarity Problem, section 4.5): the problem
// with q + lambda d is solved by z = 0 where lambda is large, and lambda comes down to 0. At each lambda
// where a component of z or w reaches 0, that one changes sides: one exchange of the tableau. Whatever is
// left when the exchanges are used up is the solution for a lambda above 0, so it is never infeasible. All
// problems of a batch take their exchanges side by side.
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { number } from "./scaledGram.ts";

/** K problems in T unknowns each; all float64. */
export interface Problems {
  /** [K,T,T] symmetric, positive definite among the rows whose `d` is above 0. */
  readonly matrix: Value;
  /** [K,T,1] */
  readonly q: Value;
  /** [K,T,1] at least 0; a row of 0 takes no part if its `q` is not negative. */
  readonly d: Value;
  /**
   * What counts as 0 among pivots: half of what is on the diagonal of `matrix` for its own sake. A row
   * whose pivot is less depends on those that are taken, but for rounding, and is left out.
   */
  readonly leastPivot: number;
  /** Where lambda's way ends; 0 unless it is given. */
  readonly floor?: number;
  /**
   * Whether an exchange at `lambda` ([K,1,1]) is not to be done any more, bool [K,1,1]; from the state
   * before it.
   */
  readonly isPast?: (state: PivotValues, lambda: Value) => Value;
}

/** What a tableau on its way says of z and w. */
export interface PivotValues {
  /** [K,T,1] 1 for components of z that are not held at 0. */
  readonly basic: Value;
  /** [K,T,1] and [K,T,1]: z (where basic, else w) is `level` + lambda `slope`. */
  readonly level: Value;
  readonly slope: Value;
}

/** Where the paths end. */
export interface PivotState extends PivotValues {
  /** [K,T,T] of the exchanged tableau; among basic rows and columns the inverse of theirs in A. */
  readonly tableau: Value;
}

/** What counts as 0 among slopes of problems whose numbers are about 1. */
const TINY = 1e-13;

/**
 * Exchanges that T unknowns are given: a path never comes twice to one set of basic rows, of which there are
 * 2^T, and those of gradients are far shorter: test/combine finds solutions of up to 40 tasks complete.
 */
function exchangesFor(tasks: number): number {
  return Math.min(2 ** tasks - 1, 2 * tasks + 4);
}

/** Follows the paths of all problems and returns where they end. */
export function emitPivoting(b: GraphBuilder, problems: Problems): PivotState {
  const [count, tasks] = concreteShape(problems.d.type.shape) as [number, number];
  const places = b.constant({
    ...{ dtype: "int64", shape: [1, tasks, 1] },
    data: Float64Array.from({ length: tasks }, (_, t) => t),
  });
  let table = b.emit("Concat", [problems.matrix, problems.q, problems.d], { axis: 2 });
  const floor = number(b, problems.floor ?? 0);
  let basic = b.constant({
    dtype: "float64",
    shape: [count, tasks, 1],
    data: new Float64Array(count * tasks),
  });
  for (let step = 0; step < exchangesFor(tasks); step++) {
    const state = valuesOf(b, table, basic, tasks);
    const pivots = diagonalOf(b, table);
    const canLeave = b.emit("And", [
      b.emit("Greater", [state.slope, number(b, TINY)]),
      b.emit("Greater", [pivots, number(b, problems.leastPivot)]),
    ]);
    const divisor = b.where(canLeave, state.slope, number(b, 1));
    const reached = b.where(canLeave, b.neg(b.div(state.level, divisor)), floor);
    const lambda = b.emit("ReduceMax", [reached, b.ints([1])], { keepdims: 1 });
    const first = b.emit("ArgMax", [reached], { axis: 1, keepdims: 1 });
    let isTaken = b.emit("And", [b.emit("Equal", [places, first]), b.emit("Greater", [lambda, floor])]);
    if (problems.isPast) isTaken = b.emit("And", [isTaken, b.emit("Not", [problems.isPast(state, lambda)])]);
    const taken = b.cast(isTaken, "float64");
    table = exchange(b, { table, pivots, taken, isTaken });
    basic = b.emit("Abs", [b.sub(basic, taken)]);
  }
  const tableau = b.slice(table, [0], [tasks], [2]);
  return { ...valuesOf(b, table, basic, tasks), tableau };
}

function valuesOf(b: GraphBuilder, table: Value, basic: Value, tasks: number): PivotValues {
  const column = (at: number): Value => b.slice(table, [at], [at + 1], [2]);
  return { basic, level: column(tasks), slope: column(tasks + 1) };
}

/** The pivots, [K,T,1], of a table [K,T,T+2]. */
function diagonalOf(b: GraphBuilder, table: Value): Value {
  const [count, tasks, columns] = concreteShape(table.type.shape) as [number, number, number];
  const flat = b.reshape(table, [count, tasks * columns]);
  return b.reshape(b.slice(flat, [0], [tasks * columns], [1], [columns + 1]), [count, tasks, 1]);
}

/**
 * Row k, the taken one, changes sides; with p the pivot, r and c its row and column, e the unit row and
 * column of k: table - (c + e) (r - e) / p. Where none is taken nothing changes.
 */
function exchange(
  b: GraphBuilder,
  { table, pivots, taken, isTaken }: Readonly<Record<"table" | "pivots" | "taken" | "isTaken", Value>>,
): Value {
  const [count, tasks, columns] = concreteShape(table.type.shape) as [number, number, number];
  const inverse = b.div(taken, b.where(isTaken, pivots, number(b, 1)));
  const takenRow = b.reshape(taken, [count, 1, tasks]);
  const noTask = b.constant({ dtype: "float64", shape: [count, 1, 2], data: new Float64Array(2 * count) });
  const unitRow = b.emit("Concat", [takenRow, noTask], { axis: 2 });
  const row = b.emit("MatMul", [takenRow, table]);
  const column = b.emit("MatMul", [table, b.reshape(unitRow, [count, columns, 1])]);
  const scaled = b.mul(b.sub(row, unitRow), b.reduceSum(inverse, [1], 1));
  return b.sub(table, b.mul(b.add(column, taken), scaled));
}

/** How often a residual is taken off again. */
const REFINEMENTS = 2;

/**
 * x [K,T,1], 0 outside the basic rows, with A x = -rhs in them: `rhs` q gives z at lambda 0, d its slope.
 * `value` is what the tableau says of it; exchanges have rounded, so its residual is taken off again.
 */
export function emitRefined(
  b: GraphBuilder,
  {
    matrix,
    rhs,
    value,
    state,
  }: Readonly<Record<"matrix" | "rhs" | "value", Value>> & { readonly state: PivotState },
): Value {
  const { basic, tableau } = state;
  let x = b.mul(basic, value);
  for (let i = 0; i < REFINEMENTS; i++) {
    const residual = b.mul(basic, b.add(b.emit("MatMul", [matrix, x]), rhs));
    x = b.sub(x, b.mul(basic, b.emit("MatMul", [tableau, residual])));
  }
  return x;
}

/** z [K,T,1] at lambda 0. */
export function emitSolution(b: GraphBuilder, problems: Problems): Value {
  const state = emitPivoting(b, problems);
  const z = emitRefined(b, { matrix: problems.matrix, rhs: problems.q, value: state.level, state });
  return b.emit("Max", [z, number(b, 0)]);
}
