// What the methods share: the Gram matrix free of the gradients' scale, and small vectors made
// of it. T is the number of tasks; all tensors here are float64.
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { concreteDim, type Value } from "../ir/types.ts";
import type { CombineInputs } from "./combiner.ts";

/** The Gram matrix of a step, without its scale: gradients of any size lead to the same numbers. */
export interface ScaledGram {
  /** T. */
  readonly tasks: number;
  /**
   * [T,T] gram / trace, of trace 1; all zeros where the trace is 0. Rows and columns of absent tasks are 0.
   */
  readonly gram: Value;
  /** The trace of the matrix as it was given, scalar; 1 where that is 0. */
  readonly trace: Value;
  /** [T] 1 for present tasks, else 0. */
  readonly present: Value;
  /** [T] 1 / the number of present tasks for each of them, else 0. */
  readonly share: Value;
}

/** Brings what a method is given to a trace of 1. */
export function scaleGram(b: GraphBuilder, { gram, present }: CombineInputs): ScaledGram {
  const tasks = concreteDim(gram.type.shape[0]);
  const sum = b.reduceSum(b.mul(gram, identity(b, tasks)), [0, 1], 0);
  const trace = b.where(b.emit("Greater", [sum, number(b, 0)]), sum, number(b, 1));
  const count = b.emit("Max", [b.reduceSum(present, [0], 1), number(b, 1)]);
  return { tasks, gram: b.div(gram, trace), trace, present, share: b.div(present, count) };
}

/** A float64 scalar. */
export function number(b: GraphBuilder, value: number): Value {
  return b.scalar(value, "float64");
}

/** The float64 unit matrix [T,T], times `scale`. */
export function identity(b: GraphBuilder, tasks: number, scale = 1): Value {
  const data = new Float64Array(tasks * tasks);
  for (let t = 0; t < tasks; t++) data[t * tasks + t] = scale;
  return b.constant({ dtype: "float64", shape: [tasks, tasks], data });
}

/** The diagonal of [T,T] as [T]. */
export function diagonal(b: GraphBuilder, matrix: Value): Value {
  const tasks = concreteDim(matrix.type.shape[0]);
  return b.reduceSum(b.mul(matrix, identity(b, tasks)), [1], 0);
}

/** x' y of two vectors [T], scalar. */
export function dot(b: GraphBuilder, x: Value, y: Value): Value {
  return b.reduceSum(b.mul(x, y), [0], 0);
}

/** Cosines between gradients, and what leads back from them. */
export interface Cosines {
  /** [T,T] <g_i, g_j> / (|g_i| |g_j|); rows and columns of idle tasks are those of the unit matrix. */
  readonly cosines: Value;
  /** [T] 1 for present tasks whose gradient is not zero, else 0: the others are idle. */
  readonly active: Value;
  /** [T] 1 / |g_i| in units of the scaled matrix; 0 for idle tasks. */
  readonly inverseNorm: Value;
}

/** Below this part of the trace a squared norm is 0: sqrt(SMALLEST_SQUARE) of the longest gradient's norm. */
const SMALLEST_SQUARE = 1e-30;

/** The matrix of cosines, in which no task's gradient is longer than another's. */
export function emitCosines(b: GraphBuilder, { tasks, gram }: ScaledGram): Cosines {
  const squares = diagonal(b, gram);
  const isActive = b.emit("Greater", [squares, number(b, SMALLEST_SQUARE)]);
  const active = b.cast(isActive, "float64");
  const length = b.emit("Sqrt", [b.where(isActive, squares, number(b, 1))]);
  const inverseNorm = b.div(active, length);
  const scaled = b.mul(b.mul(gram, inverseNorm), b.reshape(inverseNorm, [tasks, 1]));
  const idle = b.mul(identity(b, tasks), b.sub(number(b, 1), active));
  return { cosines: b.add(scaled, idle), active, inverseNorm };
}

/**
 * How far a Gram matrix of these methods may be off, as a part of |g_i| |g_j|, and their results stay
 * bounded. That of a step is off by some 1e-15; matrices that were kept in float32 are off by 1e-7 and
 * more, and then those of gradients that depend on each other may say that a vector's square is negative.
 */
const MOST_NOISE = 1e-6;

/**
 * The length of sum x_t g_t / |g_t|, scalar above 0, by the matrix of cosines; at least what it would be
 * were the matrix off by `noise`. Of well-conditioned matrices it is the length to about 1e-12 of it.
 */
export function emitLength(b: GraphBuilder, cosines: Value, x: Value, noise = MOST_NOISE): Value {
  const square = dot(b, x, b.emit("MatMul", [cosines, x]));
  const doubt = b.mul(dot(b, x, x), number(b, noise));
  const both = b.add(b.mul(square, square), b.mul(doubt, doubt));
  return b.emit("Max", [b.emit("Sqrt", [b.emit("Sqrt", [both])]), number(b, 1e-150)]);
}

/** The number of the spec by that name. */
export function settingOf({ settings }: CombineInputs, name: string): number {
  return need(settings[name], `setting ${name}`);
}
