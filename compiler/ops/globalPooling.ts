// Pooling over all pixels of a channel: x [N,C,...] -> y [N,C,1,...]. Spatial sizes are known, N may be a
// symbol.
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import { elementCount, type TensorType, type Value } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { expectKind, fillLike, scalarLike } from "./elementwise.ts";
import { signedPower } from "./signedPower.ts";
import { zerosForOutput } from "./strided.ts";

const GlobalAveragePool = defineOp("GlobalAveragePool", {
  doc: "y = mean of each channel of each image, x [N,C,...] -> y [N,C,1,...]",
  source: "ONNX GlobalAveragePool-1",
  inputs: ["x"],
  axes: "stops",
  precision: "float32",
  infer: inferGlobalPool,
  // dx = dy / n, stretched over the n pixels
  vjp: ({ b, dy, input }) => {
    const { shape } = input(0).type;
    const count = elementCount(shape.slice(2));
    return [b.expand(b.div(dy, scalarLike(b, count, dy)), sizesOr(shape, 1))];
  },
  evaluate: (ctx) => overChannels(ctx, (pixels) => pixels.reduce((sum, x) => sum + x, 0) / pixels.length),
});

const GlobalMaxPool = defineOp("GlobalMaxPool", {
  doc: "y = largest pixel of each channel of each image; of equal ones the first has the cotangent",
  source: "ONNX GlobalMaxPool-1",
  inputs: ["x"],
  axes: "stops",
  precision: "float32",
  infer: inferGlobalPool,
  // dx = dy at the first maximum, 0 elsewhere
  vjp: ({ b, dy, input }) => {
    const shape = sizesOr(input(0).type.shape, -1);
    const [n = 1, c = 1] = shape;
    const rows = b.reshape(input(0), [n, c, elementCount(shape.slice(2))]);
    const place = b.emit("ArgMax", [rows], { axis: 2, keepdims: 1 });
    const zeros = fillLike(b, 0, rows);
    const put = b.emit("ScatterElements", [zeros, place, b.reshape(dy, [n, c, 1])], { axis: 2 });
    return [b.reshape(put, shape)];
  },
  evaluate: (ctx) => overChannels(ctx, (pixels) => pixels.reduce((best, x) => Math.max(best, x))),
});

const GlobalLpPool = defineOp("GlobalLpPool", {
  doc: "y = (sum of |x|^p)^(1/p) of each channel of each image; the derivative at y = 0 is 0",
  source: "ONNX GlobalLpPool-2",
  inputs: ["x"],
  attrs: { p: { kind: "int", default: 2 } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    if (ctx.attrs.int("p") < 1) ctx.fail(`expected p of 1 or more, found ${ctx.attrs.int("p")}`);
    return inferGlobalPool(ctx);
  },
  // dx = sign(x) |x|^(p-1) y^(1-p) dy
  vjp: ({ b, dy, input, output, attrs }) => {
    const p = attrs.int("p");
    const y: Value = output(0);
    const isZero = b.emit("Equal", [y, scalarLike(b, 0, y)]);
    const power = b.emit("Pow", [b.where(isZero, scalarLike(b, 1, y), y), scalarLike(b, 1 - p, y)]);
    return [b.mul(signedPower(b, input(0), p - 1), b.mul(dy, power))];
  },
  evaluate: (ctx) => {
    const p = ctx.attrs.int("p");
    return overChannels(ctx, (pixels) => pixels.reduce((sum, x) => sum + Math.abs(x) ** p, 0) ** (1 / p));
  },
});

function inferGlobalPool(ctx: InferContext): readonly TensorType[] {
  const { dtype, shape } = ctx.input(0);
  expectKind(ctx, ctx.input(0), "float");
  if (shape.length < 3) ctx.fail(`expected [N,C,...] with pixels, found [${shape}]`);
  return [{ dtype, shape: shape.map((dim, axis) => (axis < 2 ? dim : 1)) }];
}

function overChannels(ctx: EvaluateContext, pool: (pixels: Float64Array) => number): readonly NDArray[] {
  const x = ctx.input(0);
  const y = zerosForOutput(ctx);
  const size = x.data.length / y.data.length;
  return [{ ...y, data: y.data.map((_, i) => pool(x.data.subarray(i * size, (i + 1) * size))) }];
}

/** Ops of this family. */
export const GLOBAL_POOLING: readonly Op[] = [GlobalAveragePool, GlobalMaxPool, GlobalLpPool];
