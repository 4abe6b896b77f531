// Batch norm in training form and its gradient by rows of pixels: each image's channel is a row, whose mean
// and deviation LayerNormalization gives together with the row normalised, in one pass and whatever the type
// of x. The rest is arithmetic on tables [N,C,1], in which a BatchNormalization node with given statistics is
// scale x / sqrt(var) + bias in one operator, and one scale and shift of each row. (ONNX Runtime's WebGPU
// provider computes that node wrongly on [N,C].)
//
// With row means m_nc, deviations r_nc (r^2 = var_nc + epsilon), and rows normalised h = (x - m_nc) / r_nc:
//   mean_c = mean_n m_nc,   d_nc = m_nc - mean_c,   s_c^2 = mean_n (r_nc^2 + d_nc^2) = var_c + epsilon
// (Chan et al. 1979: no difference of large squares), and (x - mean_c) / s_c = (r_nc h + d_nc) / s_c. h is of
// magnitude 1, so float16 loses no more by scaling it than by rounding the result; x itself may have a mean
// that float16 has no digits for. With several processes mean and s are those of all their images.
import type { GraphBuilder } from "../ir/builder.ts";
import type { LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape, type DType, type Value } from "../ir/types.ts";
import { type Moments, momentsOverRanks, sumOverRanks } from "./allGather.ts";
import { channelsFirst, pixelsPerChannel } from "./channels.ts";

/** Statistics of an x [N,C,...]. */
interface Rows {
  /** x as [N, C, pixels], each row of pixels normalised. */
  readonly h: Value;
  /** [2N, C, 1]: r above d. */
  readonly table: Value;
  /** [N, C, 1]. */
  readonly r: Value;
  readonly d: Value;
  /** [C]. */
  readonly mean: Value;
  /** [C], epsilon included. */
  readonly squaredDeviation: Value;
}

/**
 * The gradient emits what the forward pass does, so that common subexpressions leaves one of both; with
 * several processes it goes by what the forward pass found of `all`.
 */
function rowStatistics({ b, attrs }: LowerContext, x: Value, all?: Moments): Rows {
  const [n = 1, c = 1, ...rest] = concreteShape(x.type.shape);
  const pixels = rest.reduce((count, dim) => count * dim, 1);
  const [h, means, inverses] = b.emitAll(
    "LayerNormalization",
    [b.reshape(x, [n, c, pixels]), filled(b, x.type.dtype, pixels, 1)],
    { axis: -1, epsilon: attrs.float("epsilon") },
    3,
  ) as [Value, Value, Value];
  const r = b.emit("Reciprocal", [inverses]);
  if (all) {
    const d = b.sub(means, b.reshape(all.mean, [c, 1]));
    const squaredDeviation = b.add(all.variance, b.scalar(attrs.float("epsilon"), all.variance.type.dtype));
    return { h, table: b.emit("Concat", [r, d], { axis: 0 }), r, d, mean: all.mean, squaredDeviation };
  }
  const mean = b.reduceMean(means, [0], 0);
  const d = b.sub(means, mean);
  const table = b.emit("Concat", [r, d], { axis: 0 });
  const squares = b.reshape(b.emit("ReduceSumSquare", [table, b.ints([0])], { keepdims: 0 }), [c]);
  const squaredDeviation = b.mul(squares, b.scalar(1 / n, squares.type.dtype));
  return { h, table, r, d, mean: b.reshape(mean, [c]), squaredDeviation };
}

function filled(b: GraphBuilder, dtype: DType, count: number, value: number): Value {
  return b.constant({ dtype, shape: [count], data: new Float64Array(count).fill(value) });
}

/** scale[c] x[:, c] / sqrt(variance[c]) + bias[c]; without scale or bias, 1 and 0. */
function scaled(
  b: GraphBuilder,
  x: Value,
  { variance, scale, bias }: { readonly [name in "variance" | "scale" | "bias"]?: Value },
): Value {
  const { dtype, shape } = x.type;
  const [, c = 1] = concreteShape(shape);
  const [zeros, ones] = [filled(b, dtype, c, 0), filled(b, dtype, c, 1)];
  return b.emit("BatchNormalization", [x, scale ?? ones, bias ?? zeros, zeros, variance ?? ones], {
    epsilon: 0,
  });
}

/** A vector of C numbers divided by the deviation, as [C]: a table of one row. */
function dividedVector(b: GraphBuilder, vector: Value, variance: Value): Value {
  const [c = 1] = concreteShape(variance.type.shape);
  return b.reshape(scaled(b, b.reshape(vector, [1, c, 1]), { variance }), [c]);
}

/** factor[n,c] h + shift[n,c], in the type and shape of x. */
function affineRows(b: GraphBuilder, x: Value, h: Value, factor: Value, shift: Value): Value {
  const [n = 1, c = 1, pixels = 1] = concreteShape(h.type.shape);
  const column = (table: Value): Value => b.reshape(b.cast(table, h.type.dtype), [n * c]);
  const rows = b.reshape(h, [1, n * c, pixels]);
  const result = scaled(b, rows, { scale: column(factor), bias: column(shift) });
  return b.reshape(result, concreteShape(x.type.shape));
}

/** y = (scale r / s) h + (scale d / s + bias). */
export const imageRows: Lowering = (ctx) => {
  const { b } = ctx;
  const [x, scale, bias] = [ctx.input(0), ctx.input(1), ctx.input(2)];
  const ranks = ctx.attrs.int("ranks");
  const own = rowStatistics(ctx, x);
  const {
    h,
    r,
    d,
    mean,
    squaredDeviation: variance,
  } = ranks === 1 ? own : rowStatistics(ctx, x, momentsOverRanks(b, withoutEpsilon(ctx, own), ranks));
  const y = affineRows(b, x, h, scaled(b, r, { variance, scale }), scaled(b, d, { variance, scale, bias }));
  return [y, mean, withoutEpsilon(ctx, { mean, squaredDeviation: variance }).variance];
};

function withoutEpsilon({ b, attrs }: LowerContext, rows: Pick<Rows, "mean" | "squaredDeviation">): Moments {
  const { mean, squaredDeviation: of } = rows;
  return { mean, variance: b.sub(of, b.scalar(attrs.float("epsilon"), of.type.dtype)) };
}

/**
 * With the rows' sums S = sum dy and T = sum dy h (in the type of dy, as convolutions' gradients sum) and
 * m = N pixels: dbias = sum_n S, dscale = sum_n (r T + d S) / s, dx = (scale / s) (dy - P h - Q) with
 * P = dscale r / (m s) and Q = dscale d / (m s) + dbias / m. Statistics that are inputs are computed anew.
 */
function rowsGradient(productsOf: (b: GraphBuilder, dy: Value, h: Value) => Value): Lowering {
  return (ctx) => {
    const { b } = ctx;
    const [x, dy, scale] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const ranks = ctx.attrs.int("ranks");
    const given = ranks === 1 ? undefined : { mean: ctx.input(3), variance: ctx.input(4) };
    const { h, table, r, d, squaredDeviation: variance } = rowStatistics(ctx, x, given);
    const { dtype } = variance.type;
    const dyRows = b.reshape(dy, concreteShape(h.type.shape));
    const sums = b.cast(b.reduceSum(dyRows, [2], 1), dtype);
    const products = b.cast(productsOf(b, dyRows, h), dtype);
    const terms = b.mul(table, b.emit("Concat", [products, sums], { axis: 0 }));
    const dscale = dividedVector(b, b.reduceSum(terms, [0], 0), variance);
    const dbias = b.reshape(b.reduceSum(sums, [0], 0), concreteShape(scale.type.shape));
    const share = b.scalar(1 / (ranks * pixelsPerChannel(x.type.shape)), dtype);
    const [ofScale, ofBias] = sumOverRanks(b, [dscale, dbias], ranks).map((sum) => b.mul(sum, share)) as [
      Value,
      Value,
    ];
    const factor = scaled(b, r, { variance, scale: ofScale });
    const shift = scaled(b, d, { variance, scale: ofScale, bias: ofBias });
    const rest = b.sub(dy, affineRows(b, x, h, factor, shift));
    const gain = b.cast(dividedVector(b, scale, variance), x.type.dtype);
    return [b.mul(rest, b.reshape(gain, channelsFirst(x.type.shape))), dscale, dbias];
  };
}

/** T as products of numbers, then their sums. */
export const imageRowsGradient: Lowering = rowsGradient((b, dy, h) => b.reduceSum(b.mul(dy, h), [2], 1));

/** T as a product of matrices for each row, [1, pixels] by [pixels, 1]: nothing of x's size is written. */
export const imageRowProducts: Lowering = rowsGradient((b, dy, h) => {
  const [n = 1, c = 1, pixels = 1] = concreteShape(h.type.shape);
  const product = b.emit("MatMul", [b.reshape(dy, [n * c, 1, pixels]), b.reshape(h, [n * c, pixels, 1])]);
  return b.reshape(product, [n, c, 1]);
});
