// Batch normalisation in training form as operators of our own: ONNX's BatchNormalization with
// training_mode=1 gives the next running statistics only, not the batch's own that the gradient needs.
// Spellings: batchNormForms.ts.
import { defineOp, type EvaluateContext, type InferContext, notDifferentiable } from "../ir/op.ts";
import type { Shape, Value } from "../ir/types.ts";
import { BATCH_NORM_FORMS, BATCH_NORM_GRADIENT_FORMS } from "./batchNormForms.ts";
import { channelsFirst, pixelsPerChannel } from "./channels.ts";
import { emptyLike } from "./convolution.ts";
import { floatType } from "./slidingWindow.ts";

/**
 * Per channel c over the m pixels of the batch: mean = sum x / m, var = sum (x - mean)^2 / m (population),
 * inv_std = 1 / sqrt(var + epsilon), y = scale (x - mean) inv_std + bias, next = momentum running + (1 -
 * momentum) batch.
 */
export const BatchNormTraining = defineOp("BatchNormTraining", {
  domain: "mttc",
  doc: "batch norm over axis 1 of x [N,C,...] by the batch's own mean and population variance, all others [C]",
  source: "Ioffe and Szegedy, arXiv 1502.03167; momentum as in Keras",
  inputs: ["x", "scale", "bias", "running_mean", "running_var"],
  outputs: ["y", "next_mean", "next_var", "mean", "inv_std"],
  attrs: { epsilon: { kind: "float", default: 1e-3 }, momentum: { kind: "float", default: 0.99 } },
  infer: (ctx) => {
    const { shape } = ctx.input(0);
    const perChannel = channelType(ctx, shape, [1, 2, 3, 4]);
    return [floatType(ctx, shape, [0, 1, 2, 3, 4]), perChannel, perChannel, perChannel, perChannel];
  },
  // (dx, dscale, dbias) = BatchNormTrainingGrad(x, dy, ...); the statistics, if a loss reads them at all, add
  // dx += (dmean + 2 (x - mean) dvar) / m and drunning = momentum dnext
  vjp: ({ b, attrs, input, output, cotangents }) => {
    const [dy, dNextMean, dNextVar, dMean, dInvStd] = cotangents;
    const [x, scale, mean, invStd] = [input(0), input(1), output(3), output(4)];
    const zero = b.scalar(0, x.type.dtype);
    const [dx, dscale, dbias] = dy
      ? b.emitAll("BatchNormTrainingGrad", [x, dy, scale, mean, invStd], {}, 3)
      : [];
    const momentum = b.scalar(attrs.float("momentum"), x.type.dtype);
    const dRunning = [dNextMean, dNextVar].map((d) => d && b.mul(momentum, d));
    if (!dNextMean && !dNextVar && !dMean && !dInvStd) return [dx, dscale, dbias, ...dRunning];
    const fresh = b.scalar(1 - attrs.float("momentum"), x.type.dtype);
    const sum = (...terms: (Value | undefined)[]): Value =>
      terms.reduce<Value>((total, term) => (term ? b.add(total, term) : total), zero);
    const cube = b.mul(invStd, b.mul(invStd, invStd));
    const ofMean = sum(dMean, dNextMean && b.mul(fresh, dNextMean));
    const ofVar = sum(
      dNextVar && b.mul(fresh, dNextVar),
      dInvStd && b.mul(b.scalar(-0.5, x.type.dtype), b.mul(cube, dInvStd)),
    );
    const spread = (perChannel: Value): Value =>
      perChannel === zero ? zero : b.reshape(perChannel, channelsFirst(x.type.shape));
    const centred = b.sub(x, spread(mean));
    const twice = b.mul(b.scalar(2, x.type.dtype), b.mul(centred, spread(ofVar)));
    const share = b.scalar(1 / pixelsPerChannel(x.type.shape), x.type.dtype);
    return [sum(dx, b.mul(b.add(spread(ofMean), twice), share)), dscale, dbias, ...dRunning];
  },
  evaluate: (ctx) => {
    const [x, scale, bias] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const [y, nextMean, nextVar, mean, invStd] = [0, 1, 2, 3, 4].map((i) => emptyLike(ctx, i)) as FiveArrays;
    const m = pixelsPerChannel(x.shape);
    const momentum = ctx.attrs.float("momentum");
    const variance = new Float64Array(mean.data.length);
    visitPixels(x.shape, (i, c) => {
      mean.data[c]! += x.data[i]! / m;
    });
    visitPixels(x.shape, (i, c) => {
      variance[c]! += (x.data[i]! - mean.data[c]!) ** 2 / m;
    });
    for (let c = 0; c < variance.length; c++) {
      invStd.data[c] = 1 / Math.sqrt(variance[c]! + ctx.attrs.float("epsilon"));
      nextMean.data[c] = momentum * ctx.input(3).data[c]! + (1 - momentum) * mean.data[c]!;
      nextVar.data[c] = momentum * ctx.input(4).data[c]! + (1 - momentum) * variance[c]!;
    }
    visitPixels(x.shape, (i, c) => {
      y.data[i] = scale.data[c]! * (x.data[i]! - mean.data[c]!) * invStd.data[c]! + bias.data[c]!;
    });
    return [y, nextMean, nextVar, mean, invStd];
  },
  lower: BATCH_NORM_FORMS,
});

type FiveArrays = [
  ReturnType<typeof emptyLike>,
  ReturnType<typeof emptyLike>,
  ReturnType<typeof emptyLike>,
  ReturnType<typeof emptyLike>,
  ReturnType<typeof emptyLike>,
];

/**
 * With n = (x - mean) inv_std: dbias = sum dy, dscale = sum dy n, dx = scale inv_std (dy - dbias / m - n
 * dscale / m), the derivative through mean and variance included.
 */
export const BatchNormTrainingGrad = defineOp("BatchNormTrainingGrad", {
  domain: "mttc",
  doc: "gradient of BatchNormTraining: x and dy [N,C,...], scale, mean, inv_std [C] -> dx [N,C,...], dscale, dbias [C]",
  source: "Ioffe and Szegedy, arXiv 1502.03167, section 3",
  inputs: ["x", "dy", "scale", "mean", "inv_std"],
  outputs: ["dx", "dscale", "dbias"],
  infer: (ctx) => {
    const { shape } = ctx.input(0);
    const perChannel = channelType(ctx, shape, [2, 3, 4]);
    return [floatType(ctx, shape, [0, 1, 2, 3, 4]), perChannel, perChannel];
  },
  vjp: notDifferentiable("second derivatives of batch norm are not provided"),
  evaluate: (ctx: EvaluateContext) => {
    const [x, dy, scale, mean, invStd] = [0, 1, 2, 3, 4].map(ctx.input) as FiveArrays;
    const [dx, dscale, dbias] = [emptyLike(ctx, 0), emptyLike(ctx, 1), emptyLike(ctx, 2)];
    const m = pixelsPerChannel(x.shape);
    const normal = (i: number, c: number): number => (x.data[i]! - mean.data[c]!) * invStd.data[c]!;
    visitPixels(x.shape, (i, c) => {
      dbias.data[c]! += dy.data[i]!;
      dscale.data[c]! += dy.data[i]! * normal(i, c);
    });
    visitPixels(x.shape, (i, c) => {
      const centred = dy.data[i]! - dbias.data[c]! / m - (normal(i, c) * dscale.data[c]!) / m;
      dx.data[i] = scale.data[c]! * invStd.data[c]! * centred;
    });
    return [dx, dscale, dbias];
  },
  lower: BATCH_NORM_GRADIENT_FORMS,
});

function channelType(ctx: InferContext, shape: Shape, indexes: readonly number[]) {
  const c = shape[1];
  if (shape.length < 2 || typeof c !== "number") return ctx.fail(`expected [N,C,...], found [${shape}]`);
  for (const index of indexes)
    if (String(ctx.input(index).shape) !== String(c))
      ctx.fail(`expected [${c}] for each per-channel input, found [${ctx.input(index).shape}]`);
  return { dtype: ctx.input(0).dtype, shape: [c] };
}

function visitPixels(shape: readonly number[], visit: (place: number, channel: number) => void): void {
  const [n = 1, c = 1, ...rest] = shape;
  const plane = rest.reduce((count, dim) => count * dim, 1);
  for (let image = 0; image < n; image++)
    for (let channel = 0; channel < c; channel++)
      for (let i = 0; i < plane; i++) visit((image * c + channel) * plane + i, channel);
}
