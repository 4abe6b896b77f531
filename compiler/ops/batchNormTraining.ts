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
import { sumOverRanks } from "./allGather.ts";
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
    "float32 beside an x of float16. With `ranks` above 1 mean and variance are those of the x of all processes",
  source: "Ioffe and Szegedy, arXiv 1502.03167",
  inputs: ["x", "scale", "bias"],
  outputs: ["y", "mean", "var"],
  attrs: { epsilon: { kind: "float", default: 1e-3 }, ranks: { kind: "int", default: 1 } },
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
    const ranks = attrs.int("ranks");
    const own = { epsilon: attrs.float("epsilon"), ...(ranks > 1 ? { ranks } : {}) };
    const [dx, ...others] = dy
      ? b.emitAll("BatchNormTrainingGrad", [x, dy, scale, mean, variance], own, 3)
      : [undefined, undefined, undefined];
    const [ofMeans, ofVars] = [dMean, dVar].map((each) => each && sumOverRanks(b, [each], ranks)[0]);
    if (!ofMeans && !ofVars) return [dx, ...others];
    const { dtype, shape } = x.type;
    const spread = (perChannel: Value): Value => b.reshape(b.cast(perChannel, dtype), channelsFirst(shape));
    const ofVar = ofVars && b.mul(b.mul(b.scalar(2, dtype), b.sub(x, spread(mean))), spread(ofVars));
    const ofMean = ofMeans && b.expand(spread(ofMeans), concreteShape(shape));
    const sum = [ofMean, ofVar]
      .filter((term) => term !== undefined)
      .reduce((total, term) => b.add(total, term));
    const ofBoth = b.mul(sum, b.scalar(1 / (ranks * pixelsPerChannel(shape)), dtype));
    return [dx ? b.add(dx, ofBoth) : ofBoth, ...others];
  },
  // Of processes that have the same the moments are those of one.
  evaluate: (ctx) => normalised([ctx])[0] ?? [],
  evaluateTogether: (processes) =>
    isTogether(processes) ? normalised(processes) : processes.map((ctx) => normalised([ctx])[0] ?? []),
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
  attrs: { epsilon: { kind: "float", default: 1e-3 }, ranks: { kind: "int", default: 1 } },
  axes: "stops",
  precision: { activations: [0, 1] },
  infer: (ctx) => {
    const perChannel = channelType(ctx, [2, 3, 4]);
    return [floatType(ctx, ctx.input(0).shape, [0, 1]), perChannel, perChannel];
  },
  vjp: notDifferentiable("second derivatives of batch norm are not provided"),
  evaluate: (ctx) => normalGradients([ctx])[0] ?? [],
  evaluateTogether: (processes) =>
    isTogether(processes)
      ? normalGradients(processes)
      : processes.map((ctx) => normalGradients([ctx])[0] ?? []),
  lower: BATCH_NORM_GRADIENT_FORMS,
});

/** Whether the node takes the moments of all processes. */
function isTogether([first]: readonly EvaluateContext[]): boolean {
  return first !== undefined && first.attrs.int("ranks") > 1;
}

/** y, mean and variance of each process, by the moments of the x of all. */
function normalised(processes: readonly EvaluateContext[]): readonly (readonly NDArray[])[] {
  const [first] = processes as [EvaluateContext];
  const [mean, variance] = [zerosForOutput(first, 1), zerosForOutput(first, 2)];
  const m = processes.length * pixelsPerChannel(first.input(0).shape);
  const visitAll = (visit: (value: number, channel: number) => void): void => {
    for (const ctx of processes) {
      const { shape, data } = ctx.input(0);
      visitPixels(shape, (i, c) => visit(data[i]!, c));
    }
  };
  visitAll((value, c) => {
    mean.data[c]! += value / m;
  });
  visitAll((value, c) => {
    variance.data[c]! += (value - mean.data[c]!) ** 2 / m;
  });
  const invStd = inverseDeviations(variance, first.attrs.float("epsilon"));
  return processes.map((ctx) => {
    const [x, scale, bias] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const y = zerosForOutput(ctx, 0);
    visitPixels(x.shape, (i, c) => {
      y.data[i] = scale.data[c]! * (x.data[i]! - mean.data[c]!) * invStd[c]! + bias.data[c]!;
    });
    return [y, mean, variance];
  });
}

/** dx of each process by the sums over all, and its own dscale and dbias. */
function normalGradients(processes: readonly EvaluateContext[]): readonly (readonly NDArray[])[] {
  const [first] = processes as [EvaluateContext];
  const invStd = inverseDeviations(first.input(4), first.attrs.float("epsilon"));
  const mean = first.input(3);
  const m = processes.length * pixelsPerChannel(first.input(0).shape);
  const normal = (x: NDArray, i: number, c: number): number => (x.data[i]! - mean.data[c]!) * invStd[c]!;
  const own = processes.map((ctx) => {
    const [x, dy] = [ctx.input(0), ctx.input(1)];
    const [dscale, dbias] = [zerosForOutput(ctx, 1), zerosForOutput(ctx, 2)];
    visitPixels(x.shape, (i, c) => {
      dbias.data[c]! += dy.data[i]!;
      dscale.data[c]! += dy.data[i]! * normal(x, i, c);
    });
    return [dscale, dbias] as const;
  });
  const sum = (index: 0 | 1, c: number): number =>
    own.reduce((total, sums) => total + sums[index].data[c]!, 0);
  return processes.map((ctx, rank) => {
    const [x, dy, scale] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    const dx = zerosForOutput(ctx, 0);
    visitPixels(x.shape, (i, c) => {
      const centred = dy.data[i]! - sum(1, c) / m - (normal(x, i, c) * sum(0, c)) / m;
      dx.data[i] = scale.data[c]! * invStd[c]! * centred;
    });
    return [dx, ...own[rank]!];
  });
}

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
