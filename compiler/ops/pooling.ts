// Max and average pooling over windows, and the gradient of max pooling as an operator of our own. Of equal
// values in a window the first in row-major order is the maximum: it alone gets the cotangent (as PyTorch and
// Keras do).
import { type AttrSpec, defineOp, type InferContext, type NDArray, notDifferentiable } from "../ir/op.ts";
import { concreteShape, type TensorType } from "../ir/types.ts";
import { emitConvInputGrad, emptyLike } from "./convolution.ts";
import { POOL_GRADIENT_FORMS } from "./poolGradientForms.ts";
import {
  floatType,
  imageDims,
  outputSize,
  readWindow,
  type SlidingWindow,
  WINDOW_ATTRS,
} from "./slidingWindow.ts";

const POOL_ATTRS: Readonly<Record<string, AttrSpec>> = {
  ...WINDOW_ATTRS,
  kernel_shape: { kind: "ints" },
  ceil_mode: { kind: "int", default: 0 },
};

/**
 * y = the largest pixel of each window; `indices` its place in the flattened x. Padding is never the maximum.
 */
export const MaxPool = defineOp("MaxPool", {
  doc: "largest pixel of each window, x [N,C,H,W] -> y [N,C,P,Q]; indices int64, row-major in the whole of x",
  source: "ONNX MaxPool-12",
  inputs: ["x"],
  outputs: ["y", "indices?"],
  attrs: POOL_ATTRS,
  infer: (ctx) => {
    const y = inferPool(ctx);
    return [y, { dtype: "int64", shape: y.shape }];
  },
  // dx[i] = sum of dy over the windows whose first maximum is x[i]
  vjp: ({ b, attrs, input, output, dy }) => [
    b.emit("MaxPoolGrad", [dy, input(0), output(0)], {
      kernel_shape: attrs.ints("kernel_shape"),
      strides: attrs.ints("strides"),
      pads: attrs.ints("pads"),
      dilations: attrs.ints("dilations"),
      ceil_mode: attrs.int("ceil_mode"),
    }),
  ],
  evaluate: (ctx) => {
    const [x, y, indices] = [ctx.input(0), emptyLike(ctx, 0), emptyLike(ctx, 1)];
    visitMaxima(poolWindow(ctx.attrs), x, y.shape, (window, place) => {
      y.data[window] = x.data[place]!;
      indices.data[window] = place;
    });
    return [y, indices];
  },
});

/** dx[i] = sum of dy over the windows whose first maximum is x[i]. */
export const MaxPoolGrad = defineOp("MaxPoolGrad", {
  domain: "mttc",
  doc: "gradient of MaxPool: dy [N,C,P,Q], its input x [N,C,H,W] and output y [N,C,P,Q] -> dx; first maximum wins",
  source: "chain rule on ONNX MaxPool-12",
  inputs: ["dy", "x", "y"],
  outputs: ["dx"],
  attrs: POOL_ATTRS,
  infer: (ctx) => [floatType(ctx, ctx.input(1).shape, [0, 1, 2])],
  vjp: notDifferentiable("second derivatives of pooling are not provided"),
  evaluate: (ctx) => {
    const [dy, x, dx] = [ctx.input(0), ctx.input(1), emptyLike(ctx, 0)];
    visitMaxima(poolWindow(ctx.attrs), x, dy.shape, (window, place) => {
      dx.data[place]! += dy.data[window]!;
    });
    return [dx];
  },
  lower: POOL_GRADIENT_FORMS,
});

/** y[indices[i]] = x[i], 0 elsewhere: undoes MaxPool where windows do not overlap. Used by lowerings. */
export const MaxUnpool = defineOp("MaxUnpool", {
  doc: "x [N,C,P,Q] put at the flat places `indices` of a tensor of output_shape, zeros elsewhere",
  source: "ONNX MaxUnpool-11",
  inputs: ["x", "indices", "output_shape"],
  attrs: { kernel_shape: { kind: "ints" }, strides: WINDOW_ATTRS.strides, pads: WINDOW_ATTRS.pads },
  infer: (ctx) => [floatType(ctx, ctx.constant(2), [0])],
  vjp: notDifferentiable("unpooling is used in gradients only"),
  evaluate: (ctx) => {
    const [x, indices, y] = [ctx.input(0), ctx.input(1), emptyLike(ctx, 0)];
    indices.data.forEach((place, i) => {
      y.data[place] = x.data[i]!;
    });
    return [y];
  },
});

/** y = the mean of each window; padding counts as zeros with count_include_pad, else not at all. */
export const AveragePool = defineOp("AveragePool", {
  doc: "mean of each window, x [N,C,H,W] -> y [N,C,P,Q]; windows are whole (no ceil_mode)",
  source: "ONNX AveragePool-11",
  inputs: ["x"],
  attrs: {
    strides: WINDOW_ATTRS.strides,
    pads: WINDOW_ATTRS.pads,
    kernel_shape: { kind: "ints" },
    count_include_pad: { kind: "int", default: 0 },
  },
  infer: (ctx) => [inferPool(ctx)],
  // dx = the transpose of a depthwise convolution with filters of ones, of dy / (pixels counted in the
  // window)
  vjp: ({ b, attrs, input, output, dy }) => {
    const shape = concreteShape(input(0).type.shape);
    const [, c = 1] = shape;
    const kernel = attrs.ints("kernel_shape");
    const { dtype } = dy.type;
    const [, , p = 1, q = 1] = concreteShape(output(0).type.shape);
    const shares = windowCounts(poolWindow(attrs), shape, [p, q], attrs.int("count_include_pad") === 1);
    const scaled = b.mul(dy, b.constant({ dtype, shape: [1, 1, p, q], data: shares.map((n) => 1 / n) }));
    const filterShape = [c, 1, ...kernel];
    const ones = new Float64Array(filterShape.reduce((product, dim) => product * dim, 1)).fill(1);
    const filters = b.constant({ dtype, shape: filterShape, data: ones });
    const window = { strides: attrs.ints("strides"), pads: attrs.ints("pads"), group: c };
    return [emitConvInputGrad(b, scaled, filters, window, shape)];
  },
  evaluate: (ctx) => {
    const [x, y] = [ctx.input(0), emptyLike(ctx, 0)];
    const [, , p = 1, q = 1] = y.shape;
    const window = poolWindow(ctx.attrs);
    visitWindows(window, x.shape, y.shape, (at, pixels) => {
      for (const place of pixels) y.data[at]! += x.data[place]!;
    });
    const counts = windowCounts(window, x.shape, [p, q], ctx.attrs.int("count_include_pad") === 1);
    return [{ ...y, data: y.data.map((sum, i) => sum / counts[i % (p * q)]!) }];
  },
});

function poolWindow(attrs: Parameters<typeof readWindow>[0]): SlidingWindow {
  const [r = 1, s = 1] = attrs.ints("kernel_shape");
  return readWindow(attrs, [r, s]);
}

function inferPool(ctx: InferContext): TensorType {
  const [n, c, height, width] = imageDims(ctx, 0);
  const window = poolWindow(ctx.attrs);
  for (const axis of [window.rows, window.columns])
    if (axis.padBegin >= axis.kernel || axis.padEnd >= axis.kernel)
      ctx.fail("a pad as large as the kernel makes windows without a pixel");
  const ceil = ctx.attrs.has("ceil_mode") && ctx.attrs.int("ceil_mode") === 1;
  const [p, q] = outputSize(ctx, window, height, width, ceil);
  return floatType(ctx, [n, c, p, q], [0]);
}

/** Calls `visit` with the flat output place of each window and the flat places of its pixels, row-major. */
function visitWindows(
  { rows, columns }: SlidingWindow,
  [n = 1, c = 1, height = 1, width = 1]: readonly number[],
  [, , p = 1, q = 1]: readonly number[],
  visit: (window: number, pixels: readonly number[]) => void,
): void {
  for (let plane = 0; plane < n * c; plane++)
    for (let row = 0; row < p; row++)
      for (let column = 0; column < q; column++) {
        const pixels: number[] = [];
        for (let r = 0; r < rows.kernel; r++)
          for (let s = 0; s < columns.kernel; s++) {
            const h = row * rows.stride + r * rows.dilation - rows.padBegin;
            const w = column * columns.stride + s * columns.dilation - columns.padBegin;
            if (h >= 0 && h < height && w >= 0 && w < width) pixels.push((plane * height + h) * width + w);
          }
        visit((plane * p + row) * q + column, pixels);
      }
}

function visitMaxima(
  window: SlidingWindow,
  x: NDArray,
  outShape: readonly number[],
  visit: (window: number, place: number) => void,
): void {
  visitWindows(window, x.shape, outShape, (at, pixels) => {
    let best = pixels[0] ?? 0;
    for (const place of pixels) if (x.data[place]! > x.data[best]!) best = place;
    visit(at, best);
  });
}

/** Pixels that each of the P x Q windows of a plane counts. */
function windowCounts(
  window: SlidingWindow,
  [, , height = 1, width = 1]: readonly number[],
  [p, q]: readonly [number, number],
  includePad: boolean,
): Float64Array {
  const counts = new Float64Array(p * q).fill(window.rows.kernel * window.columns.kernel);
  if (!includePad)
    visitWindows(window, [1, 1, height, width], [1, 1, p, q], (at, pixels) => {
      counts[at] = pixels.length;
    });
  return counts;
}
