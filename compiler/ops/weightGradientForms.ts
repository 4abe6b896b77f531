// Spellings of ConvWeightGrad in standard ONNX operators: dw[k,c,tap] = sum over the M = N P Q output pixels
// of dy[k,m] x[c, pixel that tap sees at m]. They differ in how x is laid out for the matrix product: pixels
// first (NHWC), channels first, or image by image; one product a tap, or one for all taps. lower/cpu.ts and
// lower/cuda.ts choose by shape; the spellings meant for CUDA stand in weightGradientProducts.ts.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, Lowering } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { BLOCKED_WEIGHT_GRADIENT_FORMS } from "./blockedForms.ts";
import { WEIGHT_GRADIENT_PRODUCTS } from "./weightGradientProducts.ts";
import { joinTaps, padImage, type Sizes, sizesOf, splitTaps, tapPixels } from "./weightGradientSizes.ts";

/** dy as a matrix [K, M], or [group, K/group, M]. */
function cotangentRows(b: GraphBuilder, dy: Value, { n, k, p, q, m, group }: Sizes): Value {
  if (group === 1) return b.reshape(b.transpose(dy, [1, 0, 2, 3]), [k, m]);
  const grouped = b.reshape(dy, [n, group, k / group, p * q]);
  return b.reshape(b.transpose(grouped, [1, 2, 0, 3]), [group, k / group, m]);
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
export const WEIGHT_GRADIENT_FORMS = {
  perTap,
  perTapBatched,
  im2col,
  im2colChannelMajor,
  rowProducts,
  depthwise,
  ...BLOCKED_WEIGHT_GRADIENT_FORMS,
  ...WEIGHT_GRADIENT_PRODUCTS,
} as const satisfies Forms;
