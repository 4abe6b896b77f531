// Max pooling over windows, its gradient as an operator of our own. Of equal
// values in a window the first in row-major order is the maximum: it alone gets the cotangent (as PyTorch and
// Keras do).
import { defineOp, type NDArray, notDifferentiable } from "../ir/op.ts";
import { concreteShape, elementCount, type Value } from "../ir/types.ts";
import { POOL_GRADIENT_FORMS } from "./poolGradientForms.ts";
import { inferPool, POOL_ATTRS, poolWindow, visitWindows } from "./poolWindows.ts";
import { floatType, type SlidingWindow, WINDOW_ATTRS } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/**
 * y = the largest pixel of each window; `indices` its place in the flattened x. Padding is never the maximum.
 */
export const MaxPool = defineOp("MaxPool", {
  doc: "largest pixel of each window, x [N,C,H,W] -> y [N,C,P,Q]; indices int64, row-major in the whole of x",
  source: "ONNX MaxPool-12",
  inputs: ["x"],
  outputs: ["y", "indices?"],
  attrs: POOL_ATTRS,
  traits: ["pools"],
  axes: "stops",
  precision: "follows",
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
    const [x, y, indices] = [ctx.input(0), zerosForOutput(ctx, 0), zerosForOutput(ctx, 1)];
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
  axes: "stops",
  // Overlapping windows are summed one by one.
  precision: "rounds",
  infer: (ctx) => [floatType(ctx, ctx.input(1).shape, [0, 1, 2])],
  vjp: notDifferentiable("second derivatives of pooling are not provided"),
  evaluate: (ctx) => {
    const [dy, x, dx] = [ctx.input(0), ctx.input(1), zerosForOutput(ctx, 0)];
    visitMaxima(poolWindow(ctx.attrs), x, dy.shape, (window, place) => {
      dx.data[place]! += dy.data[window]!;
    });
    return [dx];
  },
  lower: POOL_GRADIENT_FORMS,
});

/** y[indices[i]] = x[i], 0 elsewhere: undoes MaxPool where windows do not overlap. */
export const MaxUnpool = defineOp("MaxUnpool", {
  doc: "x [N,C,P,Q] put at the flat places `indices` of a tensor of output_shape, zeros elsewhere",
  source: "ONNX MaxUnpool-11",
  inputs: ["x", "indices", "output_shape"],
  attrs: { kernel_shape: { kind: "ints" }, strides: WINDOW_ATTRS.strides, pads: WINDOW_ATTRS.pads },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [floatType(ctx, ctx.constant(2), [0])],
  // dx[i] = dy[indices[i]]; the indices must differ
  vjp: ({ b, dy, input }) => {
    const flat = (value: Value): Value => b.reshape(value, [elementCount(value.type.shape)]);
    const picked = b.emit("Gather", [flat(dy), flat(input(1))]);
    return [b.reshape(picked, concreteShape(input(0).type.shape)), undefined];
  },
  evaluate: (ctx) => {
    const [x, indices, y] = [ctx.input(0), ctx.input(1), zerosForOutput(ctx, 0)];
    indices.data.forEach((place, i) => {
      y.data[place] = x.data[i]!;
    });
    return [y];
  },
});

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
