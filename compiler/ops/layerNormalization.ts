// Normalisation by statistics of the numbers themselves: over the last axes, over pixels, over groups of
// channels. All share one rule: h = (x - mean) / s over some axes, then a scale and a bias.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type InferContext, type NDArray, type Op, type VjpContext } from "../ir/op.ts";
import { concreteShape, elementCount, type Shape, type Value } from "../ir/types.ts";
import { range, reshapeTo, resolveAxes, resolveAxis } from "./axes.ts";
import { expectKind, sameAsInput, scalarLike, sumToShape } from "./elementwise.ts";
import { broadcastData, groupOffsets, outputWith } from "./strided.ts";

/** h = (x - mean) / s over `axes`; s is sqrt(variance + inside) + outside. */
interface Standardization {
  readonly axes: readonly number[];
  readonly inside: number;
  readonly outside: number;
}

/**
 * h and, for dh, the cotangent of x: (dh - mean(dh) - (x - mean) mean(dh h) / sqrt(variance + inside)) / s.
 */
function standardize(b: GraphBuilder, x: Value, { axes, inside, outside }: Standardization) {
  const mean = (value: Value): Value => b.reduceMean(value, axes, 1);
  const centred = b.sub(x, mean(x));
  const variance = b.add(mean(b.mul(centred, centred)), scalarLike(b, inside, x));
  const root = b.emit("Sqrt", [variance]);
  const deviation = outside === 0 ? root : b.add(root, scalarLike(b, outside, x));
  const h = b.div(centred, deviation);
  const cotangent = (dh: Value): Value => {
    // With `outside`, a root of 0 would make this 0 / 0; the deviation, 1e-9 larger, stands for it.
    const slope = b.div(mean(b.mul(dh, h)), outside === 0 ? root : deviation);
    return b.div(b.sub(b.sub(dh, mean(dh)), b.mul(centred, slope)), deviation);
  };
  return { h, cotangent };
}

/** Mean and population variance of the numbers that each number is normalised with, for each number. */
function momentsOf(x: NDArray, axes: readonly number[]): { mean: Float64Array; variance: Float64Array } {
  const group = groupOffsets(x.shape, axes);
  const sums = new Float64Array(x.data.length);
  const squares = new Float64Array(x.data.length);
  const count = axes.reduce((product, axis) => product * x.shape[axis]!, 1);
  x.data.forEach((value, i) => {
    sums[group[i]!]! += value / count;
  });
  x.data.forEach((value, i) => {
    squares[group[i]!]! += (value - sums[group[i]!]!) ** 2 / count;
  });
  const spread = (perGroup: Float64Array): Float64Array => x.data.map((_, i) => perGroup[group[i]!]!);
  return { mean: spread(sums), variance: spread(squares) };
}

/** The reference of h. */
function standardized(x: NDArray, { axes, inside, outside }: Standardization): Float64Array {
  const { mean, variance } = momentsOf(x, axes);
  return x.data.map((value, i) => (value - mean[i]!) / (Math.sqrt(variance[i]! + inside) + outside));
}

/** Cotangents of x, scale and bias for y = h scale' + bias', both broadcast from the shape `wide`. */
function differentiateAffine(
  ctx: VjpContext,
  rule: Standardization,
  wide: readonly number[],
  x = ctx.input(0),
): readonly (Value | undefined)[] {
  const { b, needs, inputs } = ctx;
  const dy = reshapeTo(b, ctx.dy, x.type.shape);
  const { h, cotangent } = standardize(b, x, rule);
  const back = (value: Value, i: number): Value =>
    b.reshape(sumToShape(b, value, wide), concreteShape(ctx.input(i).type.shape));
  const dx = () => cotangent(b.mul(dy, b.reshape(ctx.input(1), wide)));
  return [
    needs[0] ? reshapeTo(b, dx(), ctx.input(0).type.shape) : undefined,
    needs[1] ? back(b.mul(dy, h), 1) : undefined,
    inputs[2] && needs[2] ? back(dy, 2) : undefined,
  ];
}

/**
 * Cotangent of x through outputs 1 and 2, mean and r = 1 / sqrt(variance + epsilon) of n numbers:
 * (dmean - r^3 (x - mean) dr) / n; undefined where nothing asks for them.
 */
function differentiateStatistics(ctx: VjpContext, { axes, inside }: Standardization): Value | undefined {
  const { b, cotangents } = ctx;
  if (!cotangents.slice(1).some(Boolean)) return undefined;
  const x = ctx.input(0);
  const shape = concreteShape(x.type.shape);
  const [dMean, dInverse] = cotangents.slice(1).map((value) => value && b.cast(value, x.type.dtype));
  const throughDeviation = (dr: Value): Value => {
    const centred = b.sub(x, b.reduceMean(x, axes, 1));
    const variance = b.reduceMean(b.mul(centred, centred), axes, 1);
    const r = b.emit("Reciprocal", [b.emit("Sqrt", [b.add(variance, scalarLike(b, inside, x))])]);
    return b.neg(b.mul(centred, b.mul(b.mul(r, b.mul(r, r)), dr)));
  };
  const ofMean = dMean && b.expand(dMean, shape);
  const ofDeviation = dInverse && throughDeviation(dInverse);
  const sum = ofMean && ofDeviation ? b.add(ofMean, ofDeviation) : (ofMean ?? ofDeviation);
  const count = axes.reduce((product, axis) => product * shape[axis]!, 1);
  return sum && b.mul(sum, scalarLike(b, 1 / count, x));
}

function affine(
  h: Float64Array,
  shape: readonly number[],
  wide: readonly number[],
  [scale, bias]: readonly [NDArray, NDArray | undefined],
): Float64Array {
  const factors = broadcastData({ ...scale, shape: wide }, shape);
  const shifts = bias && broadcastData({ ...bias, shape: wide }, shape);
  return h.map((value, i) => value * factors[i]! + (shifts?.[i] ?? 0));
}

function expectVectors(ctx: InferContext, count: Shape[number] | undefined, what: string): void {
  for (const i of [1, 2]) {
    const { shape } = ctx.input(i);
    if (shape.length !== 1 || shape[0] !== count)
      ctx.fail(`expected [${count}], one for each ${what}, found [${shape}]`);
  }
}

const LayerNormalization = defineOp("LayerNormalization", {
  doc:
    "y = (x - mean) / sqrt(var + epsilon) scale + bias, statistics over the axes from `axis` on, and those as float32: " +
    "mean and inv_std_dev = 1 / sqrt(var + epsilon)",
  source: "ONNX LayerNormalization-17 (Ba et al. 2016)",
  inputs: ["x", "scale", "bias?"],
  outputs: ["y", "mean?", "inv_std_dev?"],
  attrs: {
    axis: { kind: "int", default: -1 },
    epsilon: { kind: "float", default: 1e-5 },
    stash_type: { kind: "int", default: 1 },
  },
  axes: "stops",
  precision: "rounds",
  infer: (ctx) => {
    const x = ctx.input(0);
    const first = resolveAxis(ctx.attrs.int("axis"), x.shape.length, ctx.fail);
    const inner = concreteShape(x.shape.slice(first));
    for (const i of ctx.inputs[2] ? [1, 2] : [1])
      if (String(ctx.input(i).shape) !== String(inner))
        ctx.fail(`expected [${inner}], a number for each that is normalised, found [${ctx.input(i).shape}]`);
    expectKind(ctx, x, "float");
    const statistic = { dtype: "float32", shape: x.shape.map((dim, i) => (i < first ? dim : 1)) } as const;
    return [x, statistic, statistic];
  },
  vjp: (ctx) => {
    const { b, attrs, needs, inputs, cotangents } = ctx;
    const { shape } = ctx.input(0).type;
    const first = resolveAxis(attrs.int("axis"), shape.length);
    const rule = layerRule(first, shape.length, attrs.float("epsilon"));
    const through = cotangents[0]
      ? differentiateAffine(ctx, rule, innerShape(shape, first))
      : inputs.map(() => undefined);
    const ofStatistics = needs[0] ? differentiateStatistics(ctx, rule) : undefined;
    const [dx, ...others] = through;
    return [dx && ofStatistics ? b.add(dx, ofStatistics) : (dx ?? ofStatistics), ...others];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const first = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
    const rule = layerRule(first, x.shape.length, ctx.attrs.float("epsilon"));
    const [y] = outputWith(
      ctx,
      affine(standardized(x, rule), x.shape, innerShape(x.shape, first), [ctx.input(1), ctx.inputs[2]]),
    );
    const { mean, variance } = momentsOf(x, rule.axes);
    // Rows lie one behind the other, and every number of a row has the row's statistics.
    const length = elementCount(x.shape.slice(first));
    const ofRows = (data: Float64Array): Float64Array => data.filter((_, i) => i % length === 0);
    const statistic = { dtype: "float32", shape: x.shape.map((dim, i) => (i < first ? dim : 1)) } as const;
    const inverse = ofRows(variance).map((value) => 1 / Math.sqrt(value + rule.inside));
    return [y!, { ...statistic, data: ofRows(mean) }, { ...statistic, data: inverse }];
  },
});

function layerRule(first: number, rank: number, inside: number): Standardization {
  return { axes: range(rank).slice(first), inside, outside: 0 };
}

function innerShape(shape: Shape, first: number): number[] {
  return shape.map((dim, axis) => (axis < first ? 1 : Number(dim)));
}

const InstanceNormalization = defineOp("InstanceNormalization", {
  doc: "y = (x - mean) / sqrt(var + epsilon) scale + bias by channel, statistics over each image's pixels",
  source: "ONNX InstanceNormalization-6 (Ulyanov et al. 2016)",
  inputs: ["x", "scale", "bias"],
  attrs: { epsilon: { kind: "float", default: 1e-5 } },
  axes: "stops",
  precision: "rounds",
  infer: (ctx) => {
    const { shape } = ctx.input(0);
    if (shape.length < 3) ctx.fail(`expected [N,C,...] with pixels, found [${shape}]`);
    expectVectors(ctx, shape[1], "channel");
    return sameAsInput("float")(ctx);
  },
  vjp: (ctx) => {
    const { shape } = ctx.input(0).type;
    return differentiateAffine(ctx, pixelRule(shape, ctx.attrs.float("epsilon")), channelShape(shape));
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const h = standardized(x, pixelRule(x.shape, ctx.attrs.float("epsilon")));
    return outputWith(ctx, affine(h, x.shape, channelShape(x.shape), [ctx.input(1), ctx.input(2)]));
  },
});

function pixelRule(shape: Shape, inside: number): Standardization {
  return { axes: range(shape.length).slice(2), inside, outside: 0 };
}

function channelShape(shape: Shape): number[] {
  return shape.map((dim, axis) => (axis === 1 ? Number(dim) : 1));
}

const GroupNormalization = defineOp("GroupNormalization", {
  doc: "y = (x - mean) / sqrt(var + epsilon) scale + bias, all four by group of channels (scale [num_groups])",
  source: "ONNX GroupNormalization-18 (Wu and He 2018)",
  inputs: ["x", "scale", "bias"],
  attrs: { epsilon: { kind: "float", default: 1e-5 }, num_groups: { kind: "int" } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const [, c] = ctx.input(0).shape;
    const groups = ctx.attrs.int("num_groups");
    if (typeof c !== "number" || c % groups !== 0)
      ctx.fail(`expected [N,C,...] with C a multiple of ${groups}, found [${ctx.input(0).shape}]`);
    expectVectors(ctx, groups, "group");
    return sameAsInput("float")(ctx);
  },
  vjp: (ctx) => {
    const grouped = groupedShape(ctx.input(0).type.shape, ctx.attrs.int("num_groups"));
    const x = reshapeTo(ctx.b, ctx.input(0), grouped);
    return differentiateAffine(ctx, pixelRule(grouped, ctx.attrs.float("epsilon")), channelShape(grouped), x);
  },
  evaluate: (ctx) => {
    const shape = concreteShape(groupedShape(ctx.input(0).shape, ctx.attrs.int("num_groups")));
    const h = standardized({ ...ctx.input(0), shape }, pixelRule(shape, ctx.attrs.float("epsilon")));
    return outputWith(ctx, affine(h, shape, channelShape(shape), [ctx.input(1), ctx.input(2)]));
  },
});

/** [N, groups, numbers of a group]. */
function groupedShape(shape: Shape, groups: number): Shape {
  return [shape[0]!, groups, elementCount(shape.slice(1)) / groups];
}

/** ONNX adds this to the deviation of MeanVarianceNormalization. */
const MVN_OUTSIDE = 1e-9;

const MeanVarianceNormalization = defineOp("MeanVarianceNormalization", {
  doc: "y = (x - mean) / (sqrt(var) + 1e-9), statistics over `axes`",
  source: "ONNX MeanVarianceNormalization-13",
  inputs: ["x"],
  attrs: { axes: { kind: "ints", default: [0, 2, 3] } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    expectKind(ctx, ctx.input(0), "float");
    resolveAxes(ctx.attrs.ints("axes"), ctx.input(0).shape.length, ctx.fail);
    return [ctx.input(0)];
  },
  vjp: ({ b, dy, input, attrs }) => {
    const axes = resolveAxes(attrs.ints("axes"), input(0).type.shape.length);
    return [standardize(b, input(0), { axes, inside: 0, outside: MVN_OUTSIDE }).cotangent(dy)];
  },
  evaluate: (ctx) => {
    const axes = resolveAxes(ctx.attrs.ints("axes"), ctx.input(0).shape.length);
    return outputWith(ctx, standardized(ctx.input(0), { axes, inside: 0, outside: MVN_OUTSIDE }));
  },
});

/** Ops of this family. */
export const LAYER_NORMALIZATION: readonly Op[] = [
  LayerNormalization,
  InstanceNormalization,
  GroupNormalization,
  MeanVarianceNormalization,
];
