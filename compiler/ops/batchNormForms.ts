// Spellings of batch norm in training form and of its gradient in standard ONNX operators. A
// BatchNormalization node in inference form is the cheapest scale-and-shift by channel (one pass over
// memory), so it serves both ways.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { momentsOverRanks, sumOverRanks } from "./allGather.ts";
import { imageRowProducts, imageRows, imageRowsGradient } from "./batchNormRows.ts";
import { channelsFirst, pixelsPerChannel } from "./channels.ts";

/** Sum over all axes but the channel's. Pixels, then images: twice as fast in ONNX Runtime as all at once. */
function channelSum(b: GraphBuilder, x: Value): Value {
  const [n = 1, c = 1, ...rest] = concreteShape(x.type.shape);
  const pixels = rest.reduce((count, dim) => count * dim, 1);
  return b.reduceSum(b.reduceSum(b.reshape(x, [n, c, pixels]), [2], 0), [0], 0);
}

/** x[:, c] * scale[c] + shift[c] in one pass. */
function scaleAndShift(b: GraphBuilder, x: Value, scale: Value, shift: Value): Value {
  const [, c = 1] = concreteShape(x.type.shape);
  const constant = (fill: number): Value =>
    b.constant({ dtype: x.type.dtype, shape: [c], data: new Float64Array(c).fill(fill) });
  return b.emit("BatchNormalization", [x, scale, shift, constant(0), constant(1)], { epsilon: 0 });
}

function centred(b: GraphBuilder, x: Value, mean: Value): Value {
  return b.sub(x, b.reshape(mean, channelsFirst(x.type.shape)));
}

/** 1 / sqrt(var + epsilon) of a variance [C]. */
function inverseDeviation({ b, attrs }: LowerContext, variance: Value): Value {
  const epsilon = b.scalar(attrs.float("epsilon"), variance.type.dtype);
  return b.emit("Reciprocal", [b.emit("Sqrt", [b.add(variance, epsilon)])]);
}

/** A form in the parameters' type: activations of float16 are cast to it, the first output back. */
function inParametersType(form: Lowering, scale: number): Lowering {
  return (ctx) => {
    const { dtype } = ctx.input(0).type;
    const inputs = ctx.inputs.map((input) => input && ctx.b.cast(input, ctx.input(scale).type.dtype));
    const input = (index: number): Value => inputs[index] ?? ctx.input(index);
    const [first, ...others] = form({ ...ctx, inputs, input });
    return first ? [ctx.b.cast(first, dtype), ...others] : [];
  };
}

/** Mean, then the variance of what is centred (no difference of large squares), then one scale-and-shift. */
const twoPass: Lowering = (ctx) => {
  const { b } = ctx;
  const x = ctx.input(0);
  const share = b.scalar(1 / pixelsPerChannel(x.type.shape), x.type.dtype);
  const own = b.mul(channelSum(b, x), share);
  const around = centred(b, x, own);
  const spread = b.mul(channelSum(b, b.mul(around, around)), share);
  const { mean, variance } = momentsOverRanks(b, { mean: own, variance: spread }, ctx.attrs.int("ranks"));
  const gain = b.mul(ctx.input(1), inverseDeviation(ctx, variance));
  const shift = mean === own ? ctx.input(2) : b.add(b.mul(b.sub(own, mean), gain), ctx.input(2));
  return [scaleAndShift(b, around, gain, shift), mean, variance];
};

/**
 * ONNX's own training form, with momentum 0 so that its two statistics are the batch's (twice as fast as
 * twoPass). ONNX Runtime's kernel writes them INTO the buffers of inputs 3 and 4 when they are not graph
 * outputs; so it gets tensors that nobody else reads, one each. With several processes it normalises
 * by the moments of its own images, h = (x - m_r) / s_r, and with g = scale / s it is
 * y = (g s_r) h + (g (m_r - mean) + bias).
 */
const trainingMode: Lowering = (ctx) => {
  const { b } = ctx;
  const [x, scale, bias] = [ctx.input(0), ctx.input(1), ctx.input(2)];
  const ranks = ctx.attrs.int("ranks");
  const scratch = [1, 2].map((i) => b.sub(ctx.input(i), ctx.input(i)));
  const attrs = { epsilon: ctx.attrs.float("epsilon"), momentum: 0, training_mode: 1 };
  const normalise = (by: Value, to: Value): readonly Value[] =>
    b.emitAll("BatchNormalization", [x, by, to, ...scratch], attrs, 3);
  if (ranks === 1) return normalise(scale, bias);
  const { shape } = scale.type;
  const filled = (value: number): Value => b.expand(b.scalar(value, scale.type.dtype), concreteShape(shape));
  const [h, own, spread] = normalise(filled(1), filled(0)) as [Value, Value, Value];
  const { mean, variance } = momentsOverRanks(b, { mean: own, variance: spread }, ranks);
  const gain = b.mul(scale, inverseDeviation(ctx, variance));
  const deviation = b.emit("Sqrt", [b.add(spread, b.scalar(attrs.epsilon, spread.type.dtype))]);
  const shift = b.add(b.mul(b.sub(own, mean), gain), bias);
  return [scaleAndShift(b, h, b.mul(gain, deviation), shift), mean, variance];
};

/**
 * With z = x - mean: dbias = sum dy, dscale = inv_std sum dy z, and dx = a dy + (q z + r) by channel, where
 * a = scale inv_std, q = -a inv_std dscale / m, r = -a dbias / m. Sums over centred values do not cancel.
 * With several processes q and r hold the sums over all of them, and m counts all their elements.
 */
const channelAffine: Lowering = (ctx) => {
  const { b } = ctx;
  const [x, dy, scale, mean] = [ctx.input(0), ctx.input(1), ctx.input(2), ctx.input(3)];
  const invStd = inverseDeviation(ctx, ctx.input(4));
  const around = centred(b, x, mean);
  const dbias = channelSum(b, dy);
  const dscale = b.mul(invStd, channelSum(b, b.mul(dy, around)));
  const gain = b.mul(scale, invStd);
  const ranks = ctx.attrs.int("ranks");
  const share = b.mul(gain, b.scalar(-1 / (ranks * pixelsPerChannel(x.type.shape)), x.type.dtype));
  const [ofScale, ofBias] = sumOverRanks(b, [dscale, dbias], ranks) as [Value, Value];
  const correction = scaleAndShift(b, around, b.mul(share, b.mul(invStd, ofScale)), b.mul(share, ofBias));
  const direct = b.mul(dy, b.reshape(gain, channelsFirst(x.type.shape)));
  return [b.add(direct, correction), dscale, dbias];
};

/** Forms of BatchNormTraining by name. */
export const BATCH_NORM_FORMS = {
  trainingMode: inParametersType(trainingMode, 1),
  twoPass: inParametersType(twoPass, 1),
  imageRows,
} as const satisfies Forms;
/** Forms of BatchNormTrainingGrad by name. */
export const BATCH_NORM_GRADIENT_FORMS = {
  channelAffine: inParametersType(channelAffine, 2),
  imageRows: imageRowsGradient,
  imageRowProducts,
} as const satisfies Forms;
