// Normalisation with given statistics: what batch norm is outside of training. x is [N, C, ...], the others [C].
import { defineOp, type Op } from "../ir/op.ts";
import { elementCount, type Value } from "../ir/types.ts";
import { range } from "./axes.ts";
import { expectKind, scalarLike } from "./elementwise.ts";
import { outputWith } from "./strided.ts";

const BatchNormalization = defineOp("BatchNormalization", {
  doc: "y = scale (x - mean) / sqrt(var + epsilon) + bias, by channel, with given statistics (inference form)",
  source: "ONNX BatchNormalization-15, training_mode 0",
  inputs: ["x", "scale", "bias", "mean", "var"],
  attrs: {
    epsilon: { kind: "float", default: 1e-5 },
    momentum: { kind: "float", default: 0.9 },
    training_mode: { kind: "int", default: 0 },
  },
  infer: (ctx) => {
    const x = ctx.input(0);
    expectKind(ctx, x, "float");
    if (ctx.attrs.int("training_mode") !== 0) ctx.fail("expected training_mode 0, found 1");
    if (x.shape.length < 2) ctx.fail(`expected [N, C, ...], found [${x.shape}]`);
    for (const i of [1, 2, 3, 4]) {
      const { shape } = ctx.input(i);
      if (shape.length !== 1 || shape[0] !== x.shape[1])
        ctx.fail(`expected ${x.shape[1]} numbers, one for each channel, found [${shape}]`);
    }
    return [x];
  },
  // With h = (x - mean) / s, s = sqrt(var + epsilon), sums over all axes but the channel's:
  // dx = dy scale / s, dscale = sum(dy h), dbias = sum(dy),
  // dmean = -scale / s sum(dy), dvar = -scale / (2 s^2) sum(dy h)
  vjp: ({ b, dy, input, attrs, needs }) => {
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
    const [mean, variance] = [ctx.input(3).data, ctx.input(4).data];
    const { shape } = ctx.input(0);
    const inner = elementCount(shape.slice(2));
    const epsilon = ctx.attrs.float("epsilon");
    return outputWith(
      ctx,
      x.map((value, i) => {
        const c = Math.floor(i / inner) % shape[1]!;
        return (scale[c]! * (value - mean[c]!)) / Math.sqrt(variance[c]! + epsilon) + bias[c]!;
      }),
    );
  },
});

/** Ops of this family. */
export const NORMALIZATION: readonly Op[] = [BatchNormalization];
