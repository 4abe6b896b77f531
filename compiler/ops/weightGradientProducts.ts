// Spellings of ConvWeightGrad for CUDA, all for every stride, pad, dilation and group. Images stay channels
// first (a transposition moves whole planes), FusedMatMul reads the transposed factor where it stands, and
// the long sum over M = N P Q pixels may be split into batches by images. lower/cuda.ts chooses by shape.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { padImage, type Sizes, sizesOf, splitTaps, tapPixels } from "./weightGradientSizes.ts";

/** Products that run at a time when the sum is split: two for each multiprocessor of an H100. */
const WANTED_TILES = 264;
/** Rows and columns of one product that a multiprocessor computes. */
const TILE = 128;
/** Pixels that a part of the sum has at least, unless it is one image. */
const LEAST_PIXELS = 1024;
/** Numbers that partial sums may take: 64 MB in float32. */
const MOST_PARTIALS = 2 ** 24;

/**
 * Into how many parts (a divisor of N) the sum over images is split. Into single images where the partial
 * sums are less to write and read than both images' transpositions, which then fall away; else into as few
 * parts as give every multiprocessor work.
 */
function imageParts({ n, c, k, p, q, group, taps }: Sizes): number {
  const filters = (k * c * taps.length) / group;
  if (group === 1 && filters <= (c + k) * p * q && n * filters <= MOST_PARTIALS) return n;
  const tiles = group * Math.ceil(k / group / TILE) * Math.ceil(((c / group) * taps.length) / TILE);
  const fits = (parts: number): boolean =>
    n % parts === 0 && (n / parts) * p * q >= LEAST_PIXELS && parts * filters <= MOST_PARTIALS;
  const candidates = Array.from({ length: n }, (_, i) => i + 1).filter(fits);
  return candidates.find((parts) => parts * tiles >= WANTED_TILES) ?? candidates.at(-1) ?? 1;
}

/** [N, channels, ...] as [group * parts, channels/group, N/parts, ...]: parts of the sum in each group. */
function byParts(b: GraphBuilder, image: Value, parts: number, group: number): Value {
  const [n = 1, channels = 1, ...plane] = concreteShape(image.type.shape);
  const shape = [group * parts, channels / group, n / parts, ...plane];
  // With one image a part and one group, the order of elements is the same.
  if (parts === n && group === 1) return b.reshape(image, shape);
  const split = b.reshape(image, [parts, n / parts, group, channels / group, ...plane]);
  return b.reshape(b.transpose(split, [2, 0, 3, 1, 4, 5]), shape);
}

/** Both factors cut into `parts` of the sum; `columns` are [group * parts, C/group, M/parts] for each tap. */
function factors(ctx: LowerContext, sizes: Sizes, parts: number): { rows: Value; columns: readonly Value[] } {
  const { b } = ctx;
  const { group, c, k, m } = sizes;
  const rows = b.reshape(byParts(b, ctx.input(1), parts, group), [group * parts, k / group, m / parts]);
  const image = byParts(b, ctx.input(0), parts, group);
  const [, channels = 1, images = 1, height = 1, width = 1] = concreteShape(image.type.shape);
  const planes = b.reshape(image, [group * parts * channels, images, height, width]);
  const padded = padImage(b, planes, 2, sizes);
  const columns = sizes.taps.map((tap) =>
    b.reshape(tapPixels(b, padded, 2, sizes, tap), [group * parts, c / group, m / parts]),
  );
  return { rows, columns };
}

/** rows times the transpose of columns, [group * parts, K/group, count]: partial sums of filters. */
function partialProduct(b: GraphBuilder, rows: Value, columns: Value): Value {
  return b.emit("FusedMatMul", [rows, columns], { transB: 1 });
}

/** The sum over the parts of [group * parts, K/group, ...]; its shape may be another of as many numbers. */
function sumOfParts(b: GraphBuilder, partial: Value, parts: number, { group }: Sizes): Value {
  if (parts === 1) return partial;
  const [, ...rest] = concreteShape(partial.type.shape);
  return b.reduceSum(b.reshape(partial, [group, parts, ...rest]), [1], 0);
}

/** The taps are joined before they are summed: one sum, of which each would cost two launches. */
function tapsInParts(ctx: LowerContext, sizes: Sizes, parts: number): readonly Value[] {
  const { b } = ctx;
  const { rows, columns } = factors(ctx, sizes, parts);
  const partials = columns.map((each) => partialProduct(b, rows, each));
  const shape = concreteShape(partials[0]?.type.shape ?? []);
  const wide = partials.map((each) => b.reshape(each, [...shape, 1]));
  const joined = wide.length === 1 ? wide[0]! : b.emit("Concat", wide, { axis: shape.length });
  return [b.reshape(sumOfParts(b, joined, parts, sizes), sizes.filter)];
}

function columnsInParts(ctx: LowerContext, sizes: Sizes, parts: number): readonly Value[] {
  const { b } = ctx;
  const { rows, columns } = factors(ctx, sizes, parts);
  const matrix = columns.length === 1 ? columns[0]! : b.emit("Concat", columns, { axis: 1 });
  const sum = sumOfParts(b, partialProduct(b, rows, matrix), parts, sizes);
  const count = concreteShape(matrix.type.shape)[1] ?? 1;
  return [splitTaps(b, b.reshape(sum, [sizes.k, count]), sizes)];
}

/** For each tap one product over all pixels; a 1x1 convolution is one product. */
const tapProducts: Lowering = (ctx) => tapsInParts(ctx, sizesOf(ctx), 1);

/** All taps' pixels one below the other (im2col), and one product. Needs R S copies of x at once. */
const columnProduct: Lowering = (ctx) => columnsInParts(ctx, sizesOf(ctx), 1);

/** tapProducts with the sum split into parts by images. */
const splitTapProducts: Lowering = (ctx) => {
  const sizes = sizesOf(ctx);
  return tapsInParts(ctx, sizes, imageParts(sizes));
};

/** columnProduct with the sum split into parts by images. */
const splitColumnProduct: Lowering = (ctx) => {
  const sizes = sizesOf(ctx);
  return columnsInParts(ctx, sizes, imageParts(sizes));
};

/**
 * A Conv whose images are x's channels and whose filters are dy's planes, with stride and dilation exchanged;
 * rows and columns beyond the filters are cut off. With `parts` of the sum over images, each is a group of
 * its own: without, a filter as large as the image leaves a few blocks of threads to do all the work.
 */
function swapped(ctx: LowerContext, sizes: Sizes, parts: number): Value {
  const { b } = ctx;
  const { window, group, n, c, h, w, k, p, q, filter } = sizes;
  const [, channels = 1, r = 1, s = 1] = filter;
  const { rows, columns } = window;
  const x = b.transpose(b.reshape(ctx.input(0), [n, group, channels, h, w]), [2, 1, 0, 3, 4]);
  const images = b.reshape(x, [c / group, group * n, h, w]);
  const dy = b.reshape(ctx.input(1), [parts, n / parts, group, k / group, p, q]);
  const filters = b.reshape(b.transpose(dy, [2, 0, 3, 1, 4, 5]), [k * parts, n / parts, p, q]);
  const conv = b.emit("Conv", [images, filters], {
    strides: [rows.dilation, columns.dilation],
    dilations: [rows.stride, columns.stride],
    pads: [rows.padBegin, columns.padBegin, rows.padEnd, columns.padEnd],
    group: group * parts,
  });
  const [, , height, width] = conv.type.shape;
  const cut = height === r && width === s ? conv : b.slice(conv, [0, 0], [r, s], [2, 3]);
  const partial = b.reshape(cut, [channels, group, parts, k / group, r, s]);
  const sum = parts === 1 ? b.reshape(partial, [channels, k, r, s]) : b.reduceSum(partial, [2], 0);
  return b.transpose(b.reshape(sum, [channels, k, r, s]), [1, 0, 2, 3]);
}

/** One Conv for all images. */
const swappedConv: Lowering = (ctx) => [swapped(ctx, sizesOf(ctx), 1)];

/** swappedConv with the sum split into parts by images. */
const splitSwappedConv: Lowering = (ctx) => {
  const sizes = sizesOf(ctx);
  return [swapped(ctx, sizes, imageParts(sizes))];
};

/** Forms of ConvWeightGrad by name. */
export const WEIGHT_GRADIENT_PRODUCTS = {
  tapProducts,
  columnProduct,
  splitTapProducts,
  splitColumnProduct,
  swappedConv,
  splitSwappedConv,
} as const satisfies Forms;
