// What processes (ranks) that train one model give each other inside a graph: one operator, and what batch
// norms make of it. The runtime computes it (runtime/ort/rankOperators.ts): ONNX has nothing of the kind. All
// processes run the same graph and must meet in the same order; lower/collectiveOrder.ts sees to that.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type NDArray, notDifferentiable, type Op } from "../ir/op.ts";
import { concreteShape, elementCount, isFloat, type Value } from "../ir/types.ts";

/** y[r] = x of process r. Evaluated alone, all processes are taken to have the same x. */
const AllGather = defineOp("AllGather", {
  domain: "com.mttc",
  doc:
    "y [ranks, ...] = the x of every process, float32, by rank; `after` is only waited for, so that all processes " +
    "come to their exchanges in one order",
  source: "MPI_Allgather, MPI 4.1 section 6.7",
  inputs: ["x", "after?"],
  attrs: { ranks: { kind: "int" } },
  traits: ["collective"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const ranks = ctx.attrs.int("ranks");
    if (!isFloat(dtype) || dtype === "float16") ctx.fail(`expected float32, found ${dtype}`);
    if (ranks < 2) ctx.fail(`expected at least 2 processes, found ${ranks}`);
    return [{ dtype, shape: [ranks, ...shape] }];
  },
  vjp: notDifferentiable("what other processes' losses owe to x is not known here"),
  evaluate: (ctx) => [stacked(Array.from({ length: ctx.attrs.int("ranks") }, () => ctx.input(0)))],
  evaluateTogether: (processes) => {
    const y = stacked(processes.map((ctx) => ctx.input(0)));
    return processes.map(() => [y]);
  },
});

/** Arrays of one shape, one behind the other along a new first axis. */
function stacked(parts: readonly NDArray[]): NDArray {
  const [{ dtype, shape }] = parts as [NDArray];
  const data = new Float64Array(parts.length * elementCount(shape));
  parts.forEach((part, i) => {
    data.set(part.data, i * part.data.length);
  });
  return { dtype, shape: [parts.length, ...shape], data };
}

/** Vectors [C] of one length, of every process in one exchange: each [ranks, C]. */
function gatherVectors(b: GraphBuilder, vectors: readonly Value[], ranks: number): readonly Value[] {
  const lengths = vectors.map(({ type }) => elementCount(type.shape));
  const joined = vectors.length === 1 ? vectors[0]! : b.emit("Concat", vectors, { axis: 0 });
  const all = b.emit("AllGather", [joined], { ranks });
  return vectors.length === 1
    ? [all]
    : b.emitAll("Split", [all, b.ints(lengths)], { axis: 1 }, lengths.length);
}

/** Vectors [C] summed over all processes. */
export function sumOverRanks(b: GraphBuilder, vectors: readonly Value[], ranks: number): readonly Value[] {
  if (ranks === 1) return vectors;
  return gatherVectors(b, vectors, ranks).map((all) => b.reduceSum(all, [0], 0));
}

/** Vectors [C], the mean of all processes. */
export function meanOverRanks(b: GraphBuilder, vectors: readonly Value[], ranks: number): readonly Value[] {
  if (ranks === 1 || vectors.length === 0) return vectors;
  return gatherVectors(b, vectors, ranks).map((all) => b.reduceMean(all, [0], 0));
}

/** Whether a bool scalar is true of all processes. */
export function everywhere(b: GraphBuilder, flag: Value, ranks: number): Value {
  if (ranks === 1) return flag;
  const all = b.emit("AllGather", [b.cast(flag, "float32")], { ranks });
  return b.cast(b.emit("ReduceMin", [all, b.ints([0])], { keepdims: 0 }), "bool");
}

/** Mean and population variance of one and the same number of elements in each channel; both [C]. */
export interface Moments {
  readonly mean: Value;
  readonly variance: Value;
}

/**
 * The moments of the elements of all processes, by those of each: mean = mean_r m_r, var = mean_r (v_r +
 * (m_r - mean)^2) (Chan et al. 1979, equal counts: no difference of large squares).
 */
export function momentsOverRanks(b: GraphBuilder, { mean, variance }: Moments, ranks: number): Moments {
  if (ranks === 1) return { mean, variance };
  const [means, variances] = gatherVectors(b, [mean, variance], ranks) as [Value, Value];
  const all = b.reduceMean(means, [0], 1);
  const around = b.sub(means, all);
  const spread = b.add(variances, b.mul(around, around));
  return { mean: b.reshape(all, concreteShape(mean.type.shape)), variance: b.reduceMean(spread, [0], 0) };
}

/** Ops of this family. */
export const COLLECTIVES: readonly Op[] = [AllGather];
