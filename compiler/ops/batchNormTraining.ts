// Batch normalisation in training form as operators of our own: ONNX's BatchNormalization with
// training_mode=1 gives the next running statistics only, not the batch's own that the gradient needs. What
// becomes of the running ones is the step's business (step/statistics.ts). Spellings: batchNormForms.ts.
import {
  defineOp,
  type EvaluateContext,
  type InferContext,
  type NDArray,
  notDifferentiable,
} from "../ir/op.ts";
import { concreteShape, sameType, type TensorType, typeText, type Value } from "../ir/types.ts";
import { BATCH_NORM_FORMS, BATCH_NORM_GRADIENT_FORMS } from "./batchNormForms.ts";
import { channelsFirst, pixelsPerChannel } from "./channels.ts";
import { floatType } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/**
 * Per channel c over the m pixels of the batch: mean = sum x / m, var = sum (x - mean)^2 / m (population),
 * y = scale (x - mean) / sqrt(var + epsilon) + bias.
 */
export const BatchNormTraining = defineOp("BatchNormTraining", {
  domain: "mttc",
  doc:
    "batch norm over axis 1 of x [N,C,...] by the batch's own mean and population variance; all others are [C], " +
    "float32 beside an x of float16",
  source: "Ioffe and Szegedy, arXiv 1502.03167",
  inputs: ["x", "scale", "bias"],
  outputs: ["y", "mean", "var"],
  attrs: { epsilon: { kind: "float", default: 1e-3 } },
  axes: "stops",
  precision: { activations: [0] },
  infer: (ctx) => {
    const perChannel = channelType(ctx, [1, 2]);
    return [floatType(ctx, ctx.input(0).shape, [0]), perChannel, perChannel];
  },
  // (dx, dscale, dbias) = BatchNormTrainingGrad(x, dy, ...); the statistics, if a loss reads them at all, add
  // dx += (dmean + 2 (x - mean) dvar) / m
  vjp: ({ b, attrs, input, output, cotangents }) => {
    const [dy, dMean, dVar] = cotangents;
    const [x, scale, mean, variance] = [input(0), input(1), output(1), output(2)];
    const epsilon = attrs.float("epsilon");
    const [dx, ...others] = dy
      ? b.emitAll("BatchNormTrainingGrad", [x, dy, scale, mean, variance], { epsilon }, 3)
      : [undefined, undefined, undefined];
    if (!dMean && !dVar) return [dx, ...others];
    const { dtype, shape } = x.type;
    const spread = (perChannel: Value): Value => b.reshape(b.cast(perChannel, dtype), channelsFirst(shape));
    const ofVar = dVar && b.mul(b.mul(b.scalar(2, dtype), b.sub(x, spread(mean))), spread(dVar));
    const ofMean = dMean && b.expand(spread(dMean), concreteShape(shape));
    const sum = [ofMean, ofVar]
      .filter((term) => term !== undefined)
      .reduce((total, term) => b.add(total, term));
    const ofBoth = b.mul(sum, b.scalar(1 / pixelsPerChannel(shape), dtype));
    return [dx ? b.add(dx, ofBoth) : ofBoth, ...others];
  },
  evaluate: (ctx) => {
    const [x, scale, bias] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const [y, mean, variance] = [zerosForOutput(ctx, 0), zerosForOutput(ctx, 1), zerosForOutput(ctx, 2)];
    const m = pixelsPerChannel(x.shape);
    visitPixels(x.shape, (i, c) => {
      mean.data[c]! += x.data[i]! / m;
    });
    visitPixels(x.shape, (i, c) => {
      variance.data[c]! += (x.data[i]! - mean.data[c]!) ** 2 / m;
    });
    const invStd = inverseDeviations(variance, ctx.attrs.float("epsilon"));
    visitPixels(x.shape, (i, c) => {
      y.data[i] = scale.data[c]! * (x.data[i]! - mean.data[c]!) * invStd[c]! + bias.data[c]!;
    });
    return [y, mean, variance];
  },
  lower: BATCH_NORM_FORMS,
});

/**
 * With inv_std = 1 / sqrt(var + epsilon) and n = (x - mean) inv_std: dbias = sum dy, dscale = sum dy n, dx =
 * scale inv_std (dy - dbias / m - n dscale / m), the derivative through mean and variance included. mean and
 * var must be those of x: a form may compute them anew.
 */
export const BatchNormTrainingGrad = defineOp("BatchNormTrainingGrad", {
  domain: "mttc",
  doc: "gradient of BatchNormTraining: x and dy [N,C,...], scale [C], its mean and var -> dx [N,C,...], dscale, dbias [C]",
  source: "Ioffe and Szegedy, arXiv 1502.03167, section 3",
  inputs: ["x", "dy", "scale", "mean", "var"],
  outputs: ["dx", "dscale", "dbias"],
  attrs: { epsilon: { kind: "float", default: 1e-3 } },
  axes: "stops",
  precision: { activations: [0, 1] },
  infer: (ctx) => {
    const perChannel = channelType(ctx, [2, 3, 4]);
    return [floatType(ctx, ctx.input(0).shape, [0, 1]), perChannel, perChannel];
  },
  vjp: notDifferentiable("second derivatives of batch norm are not provided"),
  evaluate: (ctx: EvaluateContext) => {
    const [x, dy, scale, mean] = [ctx.input(0), ctx.input(1), ctx.input(2), ctx.input(3)];
    const invStd = inverseDeviations(ctx.input(4), ctx.attrs.float("epsilon"));
    const [dx, dscale, dbias] = [zerosForOutput(ctx, 0), zerosForOutput(ctx, 1), zerosForOutput(ctx, 2)];
    const m = pixelsPerChannel(x.shape);
    const normal = (i: number, c: number): number => (x.data[i]! - mean.data[c]!) * invStd[c]!;
    visitPixels(x.shape, (i, c) => {
      dbias.data[c]! += dy.data[i]!;
      dscale.data[c]! += dy.data[i]! * normal(i, c);
    });
    visitPixels(x.shape, (i, c) => {
      const centred = dy.data[i]! - dbias.data[c]! / m - (normal(i, c) * dscale.data[c]!) / m;
      dx.data[i] = scale.data[c]! * invStd[c]! * centred;
    });
    return [dx, dscale, dbias];
  },
  lower: BATCH_NORM_GRADIENT_FORMS,
});

/**
 * Type of what there is one of for each channel: of x's dtype, but float32 where x is float16, as PyTorch and
 * cuDNN have it. E_SHAPE unless the inputs at `indexes` are of it.
 */
function channelType(ctx: InferContext, indexes: readonly number[]): TensorType {
  const x = ctx.input(0);
  const c = x.shape[1];
  if (x.shape.length < 2 || typeof c !== "number") return ctx.fail(`expected [N,C,...], found [${x.shape}]`);
  const type: TensorType = { dtype: x.dtype === "float16" ? "float32" : x.dtype, shape: [c] };
  for (const index of indexes)
    if (!sameType(ctx.input(index), type))
      ctx.fail(
        `expected ${typeText(type)} for each per-channel input beside ${typeText(x)}, found ${typeText(ctx.input(index))}`,
      );
  return type;
}

/** 1 / sqrt(var + epsilon). */
function inverseDeviations(variance: NDArray, epsilon: number): Float64Array {
  return variance.data.map((value) => 1 / Math.sqrt(value + epsilon));
}

function visitPixels(shape: readonly number[], visit: (place: number, channel: number) => void): void {
  const [n = 1, c = 1, ...rest] = shape;
  const plane = rest.reduce((count, dim) => count * dim, 1);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++)
      for (let i = 0; i < plane; i++) visit((image * c + channel) * plane + i, channel);
}
