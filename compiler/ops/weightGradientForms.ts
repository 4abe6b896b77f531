// Spellings of ConvWeightGrad in standard ONNX operators: dw[k,c,tap] = sum over the M = N P Q output pixels
// of dy[k,m] x[c, pixel that tap sees at m]. They differ in how x is laid out for the matrix product: pixels
// first (NHWC), channels first, or image by image; one product a tap, or one for all taps. lower/cpu.ts
// chooses by shape.
import type { GraphBuilder } from "../ir/builder.ts";
import type { LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { readWindow, type SlidingWindow } from "./slidingWindow.ts";

/** The sizes that all forms need; x [N,C,H,W], dy [N,K,P,Q], dw [K,C/group,R,S], M = N P Q. */
interface Sizes {
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

function sizesOf(ctx: LowerContext): Sizes {
  const [n = 1, c = 1, h = 1, w = 1] = concreteShape(ctx.input(0).type.shape);
  const [, k = 1, p = 1, q = 1] = concreteShape(ctx.input(1).type.shape);
  const [r = 1, s = 1] = ctx.attrs.ints("kernel_shape");
  const group = ctx.attrs.int("group");
  const taps = Array.from({ length: r * s }, (_, tap) => [Math.floor(tap / s), tap % s] as const);
  const window = readWindow(ctx.attrs, [r, s]);
  return { window, group, n, c, h, w, k, p, q, m: n * p * q, filter: [k, c / group, r, s], taps };
}

/** `image` with zeros round its axes `row` and `row` + 1, as the convolution pads. */
function padImage(b: GraphBuilder, image: Value, row: number, { window }: Sizes): Value {
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
function tapPixels(b: GraphBuilder, padded: Value, row: number, sizes: Sizes, tap: readonly number[]): Value {
  const axes = [sizes.window.rows, sizes.window.columns];
  const starts = axes.map((axis, i) => (tap[i] ?? 0) * axis.dilation);
  const counts = [sizes.p, sizes.q];
  const ends = axes.map((axis, i) => (starts[i] ?? 0) + ((counts[i] ?? 1) - 1) * axis.stride + 1);
  const strides = axes.map((axis) => axis.stride);
  return b.slice(padded, starts, ends, [row, row + 1], strides.every((s) => s === 1) ? undefined : strides);
}

/** dy as a matrix [K, M], or [group, K/group, M]. */
function cotangentRows(b: GraphBuilder, dy: Value, { n, k, p, q, m, group }: Sizes): Value {
  if (group === 1) return b.reshape(b.transpose(dy, [1, 0, 2, 3]), [k, m]);
  const grouped = b.reshape(dy, [n, group, k / group, p * q]);
  return b.reshape(b.transpose(grouped, [1, 2, 0, 3]), [group, k / group, m]);
}

/** One [K, C/group] value a tap, as filters [K, C/group, R, S]. */
function joinTaps(b: GraphBuilder, perTap: readonly Value[], { filter }: Sizes): Value {
  const [k = 1, c = 1] = filter;
  const columns = perTap.map((each) => b.reshape(each, [k, c, 1]));
  return b.reshape(columns.length === 1 ? columns[0]! : b.emit("Concat", columns, { axis: 2 }), filter);
}

/** [K, taps * C] of one product for all taps, as filters [K, C, R, S]. */
function splitTaps(b: GraphBuilder, product: Value, { filter, taps }: Sizes): Value {
  const [k = 1, c = 1] = filter;
  return b.reshape(b.transpose(b.reshape(product, [k, taps.length, c]), [0, 2, 1]), filter);
}

/** For each tap: dy [K, M] times x pixels first [M, C]. For all shapes; groups are a batch of products. */
const perTap: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const { group, n, c, h, w, m } = sizes;
  const dy = cotangentRows(b, ctx.input(1), sizes);
  const lead = group === 1 ? [] : [group];
  const x =
    group === 1
      ? b.transpose(ctx.input(0), [0, 2, 3, 1])
      : b.transpose(b.reshape(ctx.input(0), [n, group, c / group, h, w]), [1, 0, 3, 4, 2]);
  const row = lead.length + 1;
  const padded = padImage(b, x, row, sizes);
  const products = sizes.taps.map((tap) => {
    const pixels = b.reshape(tapPixels(b, padded, row, sizes, tap), [...lead, m, c / group]);
    return b.emit("MatMul", [dy, pixels]);
  });
  return [joinTaps(b, products, sizes)];
};

/** For each tap: dy [K, M] times the transpose of x channels first [C, M]. Without groups. */
const perTapChannelMajor: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const dy = cotangentRows(b, ctx.input(1), sizes);
  const padded = padImage(b, b.transpose(ctx.input(0), [1, 0, 2, 3]), 2, sizes);
  const products = sizes.taps.map((tap) => {
    const pixels = b.reshape(tapPixels(b, padded, 2, sizes, tap), [sizes.c, sizes.m]);
    return b.emit("Gemm", [dy, pixels], { transB: 1 });
  });
  return [joinTaps(b, products, sizes)];
};

/**
 * For each tap and image: dy [K, P Q] times the transpose of x [C, P Q], then the sum over images. Without
 * groups.
 */
const perTapBatched: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const { n, c, k, p, q } = sizes;
  const dy = b.reshape(ctx.input(1), [n, k, p * q]);
  const padded = padImage(b, ctx.input(0), 2, sizes);
  const products = sizes.taps.map((tap) => {
    const pixels = b.reshape(tapPixels(b, padded, 2, sizes, tap), [n, c, p * q]);
    return b.reduceSum(b.emit("MatMul", [dy, b.transpose(pixels, [0, 2, 1])]), [0], 0);
  });
  return [joinTaps(b, products, sizes)];
};

/** All taps' pixels side by side, [M, taps C], and one product. Without groups. */
const im2col: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const dy = cotangentRows(b, ctx.input(1), sizes);
  const padded = padImage(b, b.transpose(ctx.input(0), [0, 2, 3, 1]), 1, sizes);
  const columns = sizes.taps.map((tap) => tapPixels(b, padded, 1, sizes, tap));
  const matrix = b.reshape(b.emit("Concat", columns, { axis: 3 }), [sizes.m, columns.length * sizes.c]);
  return [splitTaps(b, b.emit("MatMul", [dy, matrix]), sizes)];
};

/** All taps' pixels one below the other, [taps C, M], and one product. Without groups. */
const im2colChannelMajor: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const dy = cotangentRows(b, ctx.input(1), sizes);
  const padded = padImage(b, b.transpose(ctx.input(0), [1, 0, 2, 3]), 2, sizes);
  const blocks = sizes.taps.map((tap) => tapPixels(b, padded, 2, sizes, tap));
  const matrix = b.reshape(b.emit("Concat", blocks, { axis: 0 }), [blocks.length * sizes.c, sizes.m]);
  return [splitTaps(b, b.emit("Gemm", [dy, matrix], { transB: 1 }), sizes)];
};

/**
 * For each channel and filter row r, the product over all images and output rows of x's columns with dy's:
 * A_r[j, q] = sum over n, p of x[n, row that r sees at p, j] dy[n, p, q]; then dw[r, s] is the sum of A_r
 * along the diagonal j = column that s sees at q. More multiply-adds than needed, but in matrix products and
 * with 3 copies of x instead of 9. For group = C = K.
 */
const rowProducts: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const { n, c, p, q, window, filter } = sizes;
  const [, , r = 1, s = 1] = filter;
  const { rows, columns } = window;
  const dy = b.reshape(b.transpose(ctx.input(1), [1, 0, 2, 3]), [c, n * p, q]);
  const padded = padImage(b, b.transpose(ctx.input(0), [1, 0, 2, 3]), 2, sizes);
  const width = concreteShape(padded.type.shape)[3] ?? 1;
  const diagonals = Array.from({ length: s * q }, (_, i) => {
    const [tap, column] = [Math.floor(i / q), i % q];
    return (column * columns.stride + tap * columns.dilation) * q + column;
  });
  const perRow = Array.from({ length: r }, (_, row) => {
    const start = row * rows.dilation;
    const seen = b.slice(padded, [start], [start + (p - 1) * rows.stride + 1], [2], [rows.stride]);
    const pixels = b.transpose(b.reshape(seen, [c, n * p, width]), [0, 2, 1]);
    const product = b.reshape(b.emit("MatMul", [pixels, dy]), [c, width * q]);
    const picked = b.emit("Gather", [product, b.ints(diagonals)], { axis: 1 });
    return b.reduceSum(b.reshape(picked, [c, s, q]), [2], 0);
  });
  return [b.reshape(perRow.length === 1 ? perRow[0]! : b.emit("Concat", perRow, { axis: 1 }), filter)];
};

/** For each tap the sum over pixels of dy x, channel by channel. For group = C = K. */
const depthwise: Lowering = (ctx) => {
  const { b } = ctx;
  const sizes = sizesOf(ctx);
  const padded = padImage(b, ctx.input(0), 2, sizes);
  const sums = sizes.taps.map((tap) =>
    b.reduceSum(b.mul(ctx.input(1), tapPixels(b, padded, 2, sizes, tap)), [0, 2, 3], 0),
  );
  return [joinTaps(b, sums, sizes)];
};

/** Forms of ConvWeightGrad by name. */
export const WEIGHT_GRADIENT_FORMS: Readonly<Record<string, Lowering>> = {
  perTap,
  perTapChannelMajor,
  perTapBatched,
  im2col,
  im2colChannelMajor,
  rowProducts,
  depthwise,
};
