// What convolutions, their gradients and other spellings of them share: attributes, sizes, the multiply-adds
// that the references run through, and the emission of the two gradients.
import type { GraphBuilder } from "../ir/builder.ts";
import type { AttrReader, AttrSpec, EvaluateContext, NDArray } from "../ir/op.ts";
import type { Attrs, Value } from "../ir/types.ts";
import { readWindow, type SlidingWindow, tapRuns, WINDOW_ATTRS } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/** Attributes of a convolution and of its gradients. */
export const CONV_ATTRS: Readonly<Record<string, AttrSpec>> = {
  ...WINDOW_ATTRS,
  group: { kind: "int", default: 1 },
};

/** The attributes of CONV_ATTRS with their defaults filled in, to be handed on to another node. */
export function convAttrs(attrs: AttrReader): Attrs {
  return {
    strides: attrs.ints("strides"),
    pads: attrs.ints("pads"),
    dilations: attrs.ints("dilations"),
    group: attrs.int("group"),
  };
}

/** Sizes of one convolution y[N,K,P,Q] = x[N,C,H,W] * w[K,C/group,R,S]. */
export interface ConvGeometry {
  readonly window: SlidingWindow;
  readonly group: number;
  readonly x: readonly number[];
  readonly w: readonly number[];
  readonly y: readonly number[];
}

/**
 * Calls `visit` for every run of multiply-adds of a convolution: for i < count, y[yAt + i] pairs with filter
 * element w[wAt] and pixel x[xFrom + i * stride of columns]. Offsets are into row-major arrays.
 */
export function visitConvRuns(
  { window, group, x, w, y }: ConvGeometry,
  visit: (xFrom: number, wAt: number, yAt: number, count: number) => void,
): void {
  const [n = 0, c = 0, height = 0, width = 0] = x;
  const [k = 0, channels = 0, r = 0, s = 0] = w;
  const [, , p = 0, q = 0] = y;
  const runs = tapRuns(window, [height, width], [p, q]);
  for (let image = 0; image < n; image++)
    for (let out = 0; out < k; out++) {
      const firstChannel = Math.floor(out / (k / group)) * channels;
      const yBase = (image * k + out) * p * q;
      for (let channel = 0; channel < channels; channel++) {
        const xBase = (image * c + firstChannel + channel) * height * width;
        const wBase = (out * channels + channel) * r * s;
        for (const run of runs) visit(xBase + run.from, wBase + run.tap, yBase + run.at, run.count);
      }
    }
}

/** The geometry behind the attributes of a convolution (or of its gradient) and its three shapes. */
export function convGeometry(
  attrs: AttrReader,
  x: readonly number[],
  w: readonly number[],
  y: readonly number[],
): ConvGeometry {
  return { window: readWindow(attrs, [w[2] ?? 1, w[3] ?? 1]), group: attrs.int("group"), x, w, y };
}

/** y of a convolution whose inputs are x, w and perhaps a bias, of their numbers in order of channels. */
export function convolved(ctx: EvaluateContext, pixels: Float64Array, filters: Float64Array): NDArray {
  const y = zerosForOutput(ctx, 0);
  const [, k = 1, p = 1, q = 1] = y.shape;
  const bias = ctx.inputs[2];
  if (bias) for (let i = 0; i < y.data.length; i++) y.data[i] = bias.data[Math.floor(i / (p * q)) % k]!;
  const geometry = convGeometry(ctx.attrs, ctx.input(0).shape, ctx.input(1).shape, y.shape);
  const step = geometry.window.columns.stride;
  visitConvRuns(geometry, (xFrom, wAt, yAt, count) => {
    const weight = filters[wAt]!;
    for (let i = 0; i < count; i++) y.data[yAt + i]! += weight * pixels[xFrom + i * step]!;
  });
  return y;
}

/** dx += sum over the taps of w dy: the transpose of the convolution `geometry`. */
export function spreadThroughFilters(geometry: ConvGeometry, dx: NDArray, w: NDArray, dy: NDArray): void {
  const step = geometry.window.columns.stride;
  visitConvRuns(geometry, (xFrom, wAt, yAt, count) => {
    const weight = w.data[wAt]!;
    for (let i = 0; i < count; i++) dx.data[xFrom + i * step]! += weight * dy.data[yAt + i]!;
  });
}

/** dx [input_shape], N of 0 being that of dy, of a convolution with filters w, from dy [N,K,P,Q]. */
export function emitConvInputGrad(
  b: GraphBuilder,
  dy: Value,
  w: Value,
  attrs: Attrs,
  inputShape: readonly number[],
): Value {
  return b.emit("ConvInputGrad", [dy, w], { ...attrs, input_shape: inputShape });
}

/** dw [filterShape] of a convolution of x [N,C,H,W], from dy [N,K,P,Q]. */
export function emitConvWeightGrad(
  b: GraphBuilder,
  x: Value,
  dy: Value,
  attrs: Attrs,
  filterShape: readonly number[],
): Value {
  return b.emit("ConvWeightGrad", [x, dy], { ...attrs, kernel_shape: filterShape.slice(2) });
}
