// What all spellings of ConvWeightGrad share: its sizes, the padded image, the pixels that one tap sees,
// and how the products of taps become filters.
import type { GraphBuilder } from "../ir/builder.ts";
import type { LowerContext } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { readWindow, type SlidingWindow } from "./slidingWindow.ts";

/** The sizes that all forms need; x [N,C,H,W], dy [N,K,P,Q], dw [K,C/group,R,S], M = N P Q. */
export interface Sizes {
  readonly window: SlidingWindow;
  readonly group: number;
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly k: number;
  readonly p: number;
  readonly q: number;
  readonly m: number;
  readonly filter: readonly number[];
  /** [r, s] of every tap, row-major. */
  readonly taps: readonly (readonly [number, number])[];
}

/** The sizes of a ConvWeightGrad node. */
export function sizesOf(ctx: LowerContext): Sizes {
  const [n = 1, c = 1, h = 1, w = 1] = concreteShape(ctx.input(0).type.shape);
  const [, k = 1, p = 1, q = 1] = concreteShape(ctx.input(1).type.shape);
  const [r = 1, s = 1] = ctx.attrs.ints("kernel_shape");
  const group = ctx.attrs.int("group");
  const taps = Array.from({ length: r * s }, (_, tap) => [Math.floor(tap / s), tap % s] as const);
  const window = readWindow(ctx.attrs, [r, s]);
  return { window, group, n, c, h, w, k, p, q, m: n * p * q, filter: [k, c / group, r, s], taps };
}

/** `image` with zeros round its axes `row` and `row` + 1, as the convolution pads. */
export function padImage(b: GraphBuilder, image: Value, row: number, { window }: Sizes): Value {
  const { rows, columns } = window;
  const rank = image.type.shape.length;
  const pads = new Array<number>(2 * rank).fill(0);
  pads[row] = rows.padBegin;
  pads[row + 1] = columns.padBegin;
  pads[rank + row] = rows.padEnd;
  pads[rank + row + 1] = columns.padEnd;
  return pads.every((pad) => pad === 0) ? image : b.emit("Pad", [image, b.ints(pads)]);
}

/** The P x Q pixels of `padded` that tap [r, s] sees, on axes `row` and `row` + 1. */
export function tapPixels(
  b: GraphBuilder,
  padded: Value,
  row: number,
  sizes: Sizes,
  tap: readonly number[],
): Value {
  const axes = [sizes.window.rows, sizes.window.columns];
  const starts = axes.map((axis, i) => (tap[i] ?? 0) * axis.dilation);
  const counts = [sizes.p, sizes.q];
  const ends = axes.map((axis, i) => (starts[i] ?? 0) + ((counts[i] ?? 1) - 1) * axis.stride + 1);
  const strides = axes.map((axis) => axis.stride);
  return b.slice(padded, starts, ends, [row, row + 1], strides.every((s) => s === 1) ? undefined : strides);
}

/** One [K, C/group] value a tap, as filters [K, C/group, R, S]. */
export function joinTaps(b: GraphBuilder, perTap: readonly Value[], { filter }: Sizes): Value {
  const [k = 1, c = 1] = filter;
  const columns = perTap.map((each) => b.reshape(each, [k, c, 1]));
  return b.reshape(columns.length === 1 ? columns[0]! : b.emit("Concat", columns, { axis: 2 }), filter);
}

/** [K, taps * C] of one product for all taps, as filters [K, C, R, S]. */
export function splitTaps(b: GraphBuilder, product: Value, { filter, taps }: Sizes): Value {
  const [k = 1, c = 1] = filter;
  return b.reshape(b.transpose(b.reshape(product, [k, taps.length, c]), [0, 2, 1]), filter);
}
