// Pooling that sums over windows: means, and powers of any order. Gradients spread over the windows again.
import { defineOp, type LowerContext, type Op } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { scalarLike } from "./elementwise.ts";
import {
  inferPool,
  POOL_ATTRS,
  poolWindow,
  spreadOverWindows,
  visitWindows,
  windowCounts,
} from "./poolWindows.ts";
import { signedPower } from "./signedPower.ts";
import { WINDOW_ATTRS, type WindowAxis } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/** y = the mean of each window; padding counts as zeros with count_include_pad, else not at all. */
export const AveragePool = defineOp("AveragePool", {
  doc: "mean of each window, x [N,C,H,W] -> y [N,C,P,Q]; ceil_mode adds a partial last window",
  source: "ONNX AveragePool-11",
  inputs: ["x"],
  attrs: {
    strides: WINDOW_ATTRS.strides,
    pads: WINDOW_ATTRS.pads,
    kernel_shape: { kind: "ints" },
    ceil_mode: { kind: "int", default: 0 },
    count_include_pad: { kind: "int", default: 0 },
  },
  traits: ["pools"],
  axes: "stops",
  precision: "follows",
  infer: (ctx) => [inferPool(ctx)],
  // dx = dy / (pixels counted in the window), summed over the windows of each pixel
  vjp: ({ b, attrs, input, output, dy }) => {
    const shape = sizesOr(input(0).type.shape, 0);
    const [, , p = 1, q = 1] = sizesOr(output(0).type.shape, 0);
    const counts = windowCounts(poolWindow(attrs), shape, [p, q], attrs.int("count_include_pad") === 1);
    const shares = { dtype: dy.type.dtype, shape: [1, 1, p, q], data: counts.map((n) => 1 / n) };
    return [spreadOverWindows(b, b.mul(dy, b.constant(shares)), attrs, shape)];
  },
  evaluate: (ctx) => {
    const [x, y] = [ctx.input(0), zerosForOutput(ctx, 0)];
    const [, , p = 1, q = 1] = y.shape;
    const window = poolWindow(ctx.attrs);
    visitWindows(window, x.shape, y.shape, (at, pixels) => {
      for (const place of pixels) y.data[at]! += x.data[place]!;
    });
    const counts = windowCounts(window, x.shape, [p, q], ctx.attrs.int("count_include_pad") === 1);
    return [{ ...y, data: y.data.map((sum, i) => sum / counts[i % (p * q)]!) }];
  },
  lower: { paddedMean },
});

/**
 * The means of an image with explicit zeros round it, times the pixels of a window by those that count: for
 * kernels that know one pad an axis.
 */
function paddedMean({ b, attrs, input, outputs }: LowerContext): readonly Value[] {
  const [height = 1, width = 1] = concreteShape(input(0).type.shape.slice(2));
  const [p = 1, q = 1] = concreteShape(outputs[0]!.type.shape.slice(2));
  const window = poolWindow(attrs);
  const { rows, columns } = window;
  const behind = (axis: WindowAxis, size: number, count: number): number =>
    Math.max(0, (count - 1) * axis.stride + axis.kernel - size - axis.padBegin);
  const ends = [behind(rows, height, p), behind(columns, width, q)];
  const padded = b.emit("Pad", [input(0), b.ints([0, 0, rows.padBegin, columns.padBegin, 0, 0, ...ends])]);
  const mean = b.emit("AveragePool", [padded], {
    kernel_shape: attrs.ints("kernel_shape"),
    strides: attrs.ints("strides"),
  });
  const counts = windowCounts(window, [1, 1, height, width], [p, q], attrs.int("count_include_pad") === 1);
  const pixels = rows.kernel * columns.kernel;
  if (counts.every((count) => count === pixels)) return [mean];
  const shares = { dtype: mean.type.dtype, shape: [1, 1, p, q], data: counts.map((count) => pixels / count) };
  return [b.mul(mean, b.constant(shares))];
}

const LpPool = defineOp("LpPool", {
  doc: "(sum of |x|^p)^(1/p) of each window, x [N,C,H,W] -> y [N,C,P,Q]; the derivative at y = 0 is 0",
  source: "ONNX LpPool-18",
  inputs: ["x"],
  attrs: { ...POOL_ATTRS, p: { kind: "int", default: 2 } },
  traits: ["pools"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    if (ctx.attrs.int("p") < 1) ctx.fail(`expected p of 1 or more, found ${ctx.attrs.int("p")}`);
    return [inferPool(ctx)];
  },
  // dx = sign(x) |x|^(p-1) times dy y^(1-p), the latter summed over the windows of each pixel
  vjp: ({ b, attrs, input, output, dy }) => {
    const x = input(0);
    const p = attrs.int("p");
    const y = output(0);
    const isZero = b.emit("Equal", [y, scalarLike(b, 0, y)]);
    const power = b.emit("Pow", [b.where(isZero, scalarLike(b, 1, y), y), scalarLike(b, 1 - p, y)]);
    const spread = spreadOverWindows(b, b.mul(dy, power), attrs, sizesOr(x.type.shape, 0));
    return [b.mul(signedPower(b, x, p - 1), spread)];
  },
  evaluate: (ctx) => {
    const [x, y] = [ctx.input(0), zerosForOutput(ctx, 0)];
    const p = ctx.attrs.int("p");
    visitWindows(poolWindow(ctx.attrs), x.shape, y.shape, (at, pixels) => {
      for (const place of pixels) y.data[at]! += Math.abs(x.data[place]!) ** p;
    });
    return [{ ...y, data: y.data.map((sum) => sum ** (1 / p)) }];
  },
});

/** Ops of this family. */
export const AVERAGE_POOLING: readonly Op[] = [AveragePool, LpPool];
