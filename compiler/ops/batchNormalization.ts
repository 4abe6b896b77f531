// Normalisation with given statistics: what batch norm is outside of training. x is [N, C, ...], the others
// [C].
import { InternalError } from "../diagnostics.ts";
import { defineOp, type Op } from "../ir/op.ts";
import { elementCount, type Value } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind, scalarLike } from "./elementwise.ts";
import { outputWith } from "./strided.ts";

const BatchNormalization = defineOp("BatchNormalization", {
  doc:
    "y = scale (x - mean) / sqrt(var + epsilon) + bias, by channel, with given statistics (inference form), or, with " +
    "training_mode 1 (made by lowerings only), the batch's own: then also momentum given + (1 - momentum) batch",
  source: "ONNX BatchNormalization-15",
  inputs: ["x", "scale", "bias", "mean", "var"],
  outputs: ["y", "running_mean?", "running_var?"],
  traits: ["runningStatistics"],
  attrs: {
    epsilon: { kind: "float", default: 1e-5 },
    momentum: { kind: "float", default: 0.9 },
    training_mode: { kind: "int", default: 0 },
  },
  axes: "stops",
  precision: "rounds",
  infer: (ctx) => {
    const x = ctx.input(0);
    expectKind(ctx, x, "float");
    if (x.shape.length < 2) ctx.fail(`expected [N, C, ...], found [${x.shape}]`);
    for (const i of [1, 2, 3, 4]) {
      const { shape } = ctx.input(i);
      if (shape.length !== 1 || shape[0] !== x.shape[1])
        ctx.fail(`expected ${x.shape[1]} numbers, one for each channel, found [${shape}]`);
    }
    if (ctx.attrs.int("training_mode") === 0) return [x];
    const perChannel = { dtype: x.dtype, shape: x.shape.slice(1, 2) };
    return [x, perChannel, perChannel];
  },
  // With h = (x - mean) / s, s = sqrt(var + epsilon), sums over all axes but the channel's:
  // dx = dy scale / s, dscale = sum(dy h), dbias = sum(dy),
  // dmean = -scale / s sum(dy), dvar = -scale / (2 s^2) sum(dy h)
  vjp: ({ b, dy, input, attrs, needs }) => {
    if (attrs.int("training_mode") !== 0)
      throw new InternalError("BatchNormTraining is the form to differentiate");
    const [x, scale, mean, variance] = [input(0), input(1), input(3), input(4)];
    const rank = x.type.shape.length;
    const perChannel = (value: Value): Value =>
      rank === 2 ? value : b.emit("Unsqueeze", [value, b.ints(range(rank - 2).map((i) => i + 1))]);
    const axes = range(rank).filter((axis) => axis !== 1);
    const deviation = b.emit("Sqrt", [b.add(variance, scalarLike(b, attrs.float("epsilon"), variance))]);
    const gain = b.div(scale, deviation);
    const normalised = () => b.div(b.sub(x, perChannel(mean)), perChannel(deviation));
    const dscale = needs[1] || needs[4] ? b.reduceSum(b.mul(dy, normalised()), axes, 0) : undefined;
    const dbias = needs[2] || needs[3] ? b.reduceSum(dy, axes, 0) : undefined;
    const twice = () => b.mul(scalarLike(b, 2, dy), deviation);
    return [
      needs[0] ? b.mul(dy, perChannel(gain)) : undefined,
      dscale,
      dbias,
      dbias && needs[3] ? b.neg(b.mul(gain, dbias)) : undefined,
      dscale && needs[4] ? b.neg(b.mul(b.div(gain, twice()), dscale)) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const { data: x } = ctx.input(0);
    const [scale, bias] = [ctx.input(1).data, ctx.input(2).data];
    const { shape } = ctx.input(0);
    const inner = elementCount(shape.slice(2));
    const channelOf = (i: number): number => Math.floor(i / inner) % shape[1]!;
    const training = ctx.attrs.int("training_mode") !== 0;
    const given = [ctx.input(3).data, ctx.input(4).data] as const;
    const [mean, variance] = training ? batchStatistics(x, given[0].length, channelOf) : given;
    const epsilon = ctx.attrs.float("epsilon");
    const [y] = outputWith(
      ctx,
      x.map((value, i) => {
        const c = channelOf(i);
        return (scale[c]! * (value - mean[c]!)) / Math.sqrt(variance[c]! + epsilon) + bias[c]!;
      }),
    );
    const momentum = ctx.attrs.float("momentum");
    const next = [mean, variance].map((batch, which) => ({
      ...ctx.input(3),
      data: batch.map((value, c) => momentum * given[which]![c]! + (1 - momentum) * value),
    }));
    return training ? [y!, ...next] : [y!];
  },
});

/** Mean and population variance of each channel. */
function batchStatistics(
  x: Float64Array,
  channels: number,
  channelOf: (place: number) => number,
): readonly [mean: Float64Array, variance: Float64Array] {
  const [mean, variance] = [new Float64Array(channels), new Float64Array(channels)];
  const share = channels / x.length;
  x.forEach((value, i) => {
    mean[channelOf(i)]! += value * share;
  });
  x.forEach((value, i) => {
    variance[channelOf(i)]! += (value - mean[channelOf(i)]!) ** 2 * share;
  });
  return [mean, variance];
}

/** Ops of this family. */
export const BATCH_NORMALIZATION: readonly Op[] = [BatchNormalization];
