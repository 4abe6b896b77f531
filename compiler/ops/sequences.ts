// Linear maps along axes whose matrices hold ones and zeros: triangles, running sums, reversed sequences. The
// derivative of each is the operator itself, with other attributes at most.
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import type { TensorType } from "../ir/types.ts";
import { resolveAxis } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets } from "./strided.ts";

const Trilu = defineOp("Trilu", {
  doc: "y = x on and above the k-th diagonal of its last two axes (below it, if upper is 0), else 0; k constant",
  source: "ONNX Trilu-14",
  inputs: ["x", "k?"],
  attrs: { upper: { kind: "int", default: 1 } },
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: (ctx) => {
    if (ctx.input(0).shape.length < 2) ctx.fail(`expected matrices, found [${ctx.input(0).shape}]`);
    if (ctx.inputs[1]) ctx.constant(1);
    return [ctx.input(0)];
  },
  // dx = dy in the same triangle, else 0
  vjp: ({ b, dy, inputs, attrs }) => [b.emit("Trilu", [dy, inputs[1]], { upper: attrs.int("upper") })],
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const [rows = 1, columns = 1] = x.shape.slice(-2);
    const k = ctx.inputs[1]?.data[0] ?? 0;
    const upper = ctx.attrs.int("upper") === 1;
    const kept = (i: number): boolean => {
      const diagonal = (i % columns) - (Math.floor(i / columns) % rows);
      return upper ? diagonal >= k : diagonal <= k;
    };
    return outputWith(
      ctx,
      x.data.map((value, i) => (kept(i) ? value : 0)),
    );
  },
});

const CumSum = defineOp("CumSum", {
  doc: "y = running sums of x along an axis (constant), from its end if reverse, without x itself if exclusive",
  source: "ONNX CumSum-14",
  inputs: ["x", "axis"],
  attrs: { exclusive: { kind: "int", default: 0 }, reverse: { kind: "int", default: 0 } },
  axes: "stops",
  precision: "float32",
  hostInputs: [1],
  infer: (ctx) => {
    expectKind(ctx, ctx.input(0), "number");
    resolveAxis(ctx.constant(1)[0] ?? 0, ctx.input(0).shape.length, ctx.fail);
    return [ctx.input(0)];
  },
  // dx = running sums of dy from the other end
  vjp: ({ b, dy, input, attrs }) => {
    const other = { exclusive: attrs.int("exclusive"), reverse: 1 - attrs.int("reverse") };
    return [b.emit("CumSum", [dy, input(1)], other)];
  },
  evaluate: evaluateCumSum,
});

function evaluateCumSum(ctx: EvaluateContext): readonly NDArray[] {
  const x = ctx.input(0);
  const axis = resolveAxis(ctx.input(1).data[0] ?? 0, x.shape.length);
  const [strides, size] = [stridesOf(x.shape), x.shape[axis]!];
  const exclusive = ctx.attrs.int("exclusive") === 1;
  const y = x.data.slice();
  for (const start of viewOffsets(x.shape.with(axis, 1), strides)) {
    let sum = 0;
    for (let i = 0; i < size; i++) {
      const at = start + (ctx.attrs.int("reverse") === 1 ? size - 1 - i : i) * strides[axis]!;
      y[at] = exclusive ? sum : sum + x.data[at]!;
      sum += x.data[at]!;
    }
  }
  return outputWith(ctx, y);
}

const ReverseSequence = defineOp("ReverseSequence", {
  doc: "y = x with the first lengths[i] steps of sequence i turned round; batch and time are axes 0 and 1",
  source: "ONNX ReverseSequence-10",
  inputs: ["x", "lengths"],
  attrs: { batch_axis: { kind: "int", default: 1 }, time_axis: { kind: "int", default: 0 } },
  traits: ["movesData"],
  axes: "stops",
  precision: "float32",
  infer: inferReversal,
  // dx = dy turned round again
  vjp: ({ b, dy, input, attrs }) => {
    const axes = { batch_axis: attrs.int("batch_axis"), time_axis: attrs.int("time_axis") };
    return [b.emit("ReverseSequence", [dy, input(1)], axes)];
  },
  evaluate: (ctx) => {
    const [x, lengths] = [ctx.input(0), ctx.input(1)];
    const [batch, time] = [ctx.attrs.int("batch_axis"), ctx.attrs.int("time_axis")];
    const strides = stridesOf(x.shape);
    const offsets = viewOffsets(x.shape, strides).map((offset) => {
      const length = lengths.data[Math.floor(offset / strides[batch]!) % x.shape[batch]!]!;
      const step = Math.floor(offset / strides[time]!) % x.shape[time]!;
      return step < length ? offset + (length - 1 - 2 * step) * strides[time]! : offset;
    });
    return outputWith(ctx, takeOffsets(x.data, offsets));
  },
});

function inferReversal(ctx: InferContext): readonly TensorType[] {
  const { shape } = ctx.input(0);
  const axes = [ctx.attrs.int("batch_axis"), ctx.attrs.int("time_axis")];
  if (shape.length < 2 || axes.toSorted().join() !== "0,1")
    ctx.fail(`expected the axes 0 and 1 for batch and time, found [${axes}] of [${shape}]`);
  const lengths = ctx.input(1);
  if (lengths.dtype !== "int64" || String(lengths.shape) !== String([shape[axes[0]!]]))
    ctx.fail(`expected int64[${shape[axes[0]!]}] lengths, found ${lengths.dtype}[${lengths.shape}]`);
  return [ctx.input(0)];
}

/** Ops of this family. */
export const SEQUENCES: readonly Op[] = [Trilu, CumSum, ReverseSequence];
