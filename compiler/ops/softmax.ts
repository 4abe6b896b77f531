// Softmax and its logarithm: numbers normalised along an axis.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type EvaluateContext, type InferContext, type Op } from "../ir/op.ts";
import type { TensorType, Value } from "../ir/types.ts";
import { resolveAxis } from "./axes.ts";
import { sameAsInput, scalarLike } from "./elementwise.ts";
import { groupOffsets } from "./strided.ts";

const Softmax = defineOp("Softmax", {
  doc: "y = e^x / sum e^x along `axis`",
  source: "ONNX Softmax-13",
  inputs: ["x"],
  attrs: { axis: { kind: "int", default: -1 } },
  axes: "along",
  precision: "float32",
  infer: sameWithAxis,
  // dx = y (dy - sum(dy y)), the sum along the axis
  vjp: ({ b, dy, output, attrs }) => {
    const y = whereFinite(b, output(0));
    return [b.mul(y, b.sub(dy, b.reduceSum(b.mul(dy, y), [attrs.int("axis")], 1)))];
  },
  evaluate: (ctx) => {
    const { shifted, sums, group } = exponentials(ctx);
    const data = shifted.map((x, i) => Math.exp(x) / sums[group[i]!]!);
    return [{ ...ctx.input(0), data }];
  },
});

const LogSoftmax = defineOp("LogSoftmax", {
  doc: "y = x - ln sum e^x along `axis`",
  source: "ONNX LogSoftmax-13",
  inputs: ["x"],
  attrs: { axis: { kind: "int", default: -1 } },
  axes: "along",
  precision: "float32",
  infer: sameWithAxis,
  // dx = dy - e^y sum(dy), the sum along the axis
  vjp: ({ b, dy, output, attrs }) => {
    const probabilities = whereFinite(b, b.emit("Exp", [output(0)]), output(0));
    return [b.sub(dy, b.mul(probabilities, b.reduceSum(dy, [attrs.int("axis")], 1)))];
  },
  evaluate: (ctx) => {
    const { shifted, sums, group } = exponentials(ctx);
    const data = shifted.map((x, i) => x - Math.log(sums[group[i]!]!));
    return [{ ...ctx.input(0), data }];
  },
});

/**
 * `numbers`, computed from `y`, for a derivative. A group that is -inf throughout (attention with all keys
 * masked) gives NaN; where a graph then puts another number in its place by Where, the value is finite and
 * the cotangent there is 0: so must the derivative be, and 0 NaN is not. Only there NaN is taken for 0.
 */
function whereFinite(b: GraphBuilder, numbers: Value, y = numbers): Value {
  const same = new Set<Value | undefined>([y]);
  const isChosen = b.nodes.some(({ op, inputs, outputs }) => {
    const isRead = inputs.some((input) => same.has(input));
    if (isRead && (op.name === "Cast" || op.name === "Identity")) same.add(outputs[0]);
    return isRead && (op.name === "Where" || op.name === "IsNaN");
  });
  return isChosen ? b.where(b.emit("IsNaN", [numbers]), scalarLike(b, 0, numbers), numbers) : numbers;
}

function sameWithAxis(ctx: InferContext): readonly TensorType[] {
  resolveAxis(ctx.attrs.int("axis"), ctx.input(0).shape.length, ctx.fail);
  return sameAsInput("float")(ctx);
}

/**
 * x minus the largest of its group along the axis, the sums of the exponentials of that, and each element's
 * group.
 */
function exponentials(ctx: EvaluateContext): {
  readonly shifted: Float64Array;
  readonly sums: Float64Array;
  readonly group: Int32Array;
} {
  const x = ctx.input(0);
  const group = groupOffsets(x.shape, [resolveAxis(ctx.attrs.int("axis"), x.shape.length)]);
  const largest = new Float64Array(x.data.length).fill(Number.NEGATIVE_INFINITY);
  x.data.forEach((value, i) => {
    largest[group[i]!] = Math.max(largest[group[i]!]!, value);
  });
  const shifted = x.data.map((value, i) => value - largest[group[i]!]!);
  const sums = new Float64Array(x.data.length);
  shifted.forEach((value, i) => {
    sums[group[i]!] = sums[group[i]!]! + Math.exp(value);
  });
  return { shifted, sums, group };
}

/** Ops of this family. */
export const SOFTMAX: readonly Op[] = [Softmax, LogSoftmax];
