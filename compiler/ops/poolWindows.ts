// The windows of pooling operators: their attributes, output shape, and the pixels under each of them. With
// ceil_mode a last window may reach over the end of the padded image; what lies there is never counted.
import type { GraphBuilder } from "../ir/builder.ts";
import type { AttrReader, AttrSpec, InferContext } from "../ir/op.ts";
import { elementCount, type TensorType, type Value } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { emitConvInputGrad } from "./convolutionGeometry.ts";
import {
  floatType,
  imageDims,
  outputSize,
  readWindow,
  type SlidingWindow,
  WINDOW_ATTRS,
  type WindowAxis,
  windowExtent,
} from "./slidingWindow.ts";

/** Attributes of pooling over windows. */
export const POOL_ATTRS: Readonly<Record<string, AttrSpec>> = {
  ...WINDOW_ATTRS,
  kernel_shape: { kind: "ints" },
  ceil_mode: { kind: "int", default: 0 },
};

/** The window that the attributes of a pooling describe. */
export function poolWindow(attrs: AttrReader): SlidingWindow {
  const [r = 1, s = 1] = attrs.ints("kernel_shape");
  return readWindow(attrs, [r, s]);
}

/** Type of the result of a pooling of x [N,C,H,W]. */
export function inferPool(ctx: InferContext): TensorType {
  const [n, c, height, width] = imageDims(ctx, 0);
  const window = poolWindow(ctx.attrs);
  for (const axis of [window.rows, window.columns])
    if (axis.padBegin >= axis.kernel || axis.padEnd >= axis.kernel)
      ctx.fail("a pad as large as the kernel makes windows without a pixel");
  const [p, q] = outputSize(ctx, window, height, width, ctx.attrs.int("ceil_mode") === 1);
  return floatType(ctx, [n, c, p, q], [0]);
}

/** Calls `visit` with the flat output place of each window and the flat places of its pixels, row-major. */
export function visitWindows(
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

/** Pixels that each of the P x Q windows of a plane counts, padding too if asked. */
export function windowCounts(
  window: SlidingWindow,
  [, , height = 1, width = 1]: readonly number[],
  [p, q]: readonly [number, number],
  includePad: boolean,
): Float64Array {
  const counts = new Float64Array(p * q);
  const { rows, columns } = window;
  if (includePad)
    return counts.map((_, at) => {
      const inRows = countTaps(rows, height, Math.floor(at / q));
      return inRows * countTaps(columns, width, at % q);
    });
  visitWindows(window, [1, 1, height, width], [1, 1, p, q], (at, pixels) => {
    counts[at] = pixels.length;
  });
  return counts;
}

/** Taps of window number `position` that lie in the padded image: not beyond its end, where ceil_mode reaches. */
function countTaps(axis: WindowAxis, size: number, position: number): number {
  const room = size + axis.padBegin + axis.padEnd - position * axis.stride;
  return Math.min(axis.kernel, Math.ceil(room / axis.dilation));
}

/**
 * dx [N,C,H,W] where each pixel gets the sum of `shares` [N,C,P,Q] over the windows that hold it: the transpose
 * of a depthwise convolution with filters of ones.
 */
export function spreadOverWindows(
  b: GraphBuilder,
  shares: Value,
  attrs: AttrReader,
  shape: readonly number[],
): Value {
  const [, c = 1, height = 1, width = 1] = shape;
  const [, , p = 1, q = 1] = sizesOr(shares.type.shape, 0);
  const { rows, columns } = poolWindow(attrs);
  // The pads behind are widened as far as the last window reaches.
  const padEnd = (axis: WindowAxis, size: number, count: number): number =>
    Math.max(axis.padEnd, (count - 1) * axis.stride + windowExtent(axis) - size - axis.padBegin);
  const filterShape = [c, 1, rows.kernel, columns.kernel];
  const ones = new Float64Array(elementCount(filterShape)).fill(1);
  const filters = b.constant({ dtype: shares.type.dtype, shape: filterShape, data: ones });
  const window = {
    strides: [rows.stride, columns.stride],
    pads: [rows.padBegin, columns.padBegin, padEnd(rows, height, p), padEnd(columns, width, q)],
    dilations: [rows.dilation, columns.dilation],
    group: c,
  };
  return emitConvInputGrad(b, shares, filters, window, shape);
}
