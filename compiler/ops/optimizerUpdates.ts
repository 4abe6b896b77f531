// Optimizer updates as own operators: one node per parameter, lowered to elementwise ops.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type InferContext, type NDArray, notDifferentiable } from "../ir/op.ts";
import { sameShape, type TensorType, type Value } from "../ir/types.ts";

const NO_SECOND_ORDER = notDifferentiable("updates of the optimizer are not differentiated");

/** All tensors share the parameter's type, the last input is a scalar rate; returns `outputs` such types. */
function inferUpdate(ctx: InferContext, tensors: number, outputs: number): TensorType[] {
  const first = ctx.input(0);
  for (let i = 1; i < tensors; i++)
    if (!sameShape(ctx.input(i).shape, first.shape))
      ctx.fail(`expected input ${i} of shape [${first.shape}], found [${ctx.input(i).shape}]`);
  if (ctx.input(tensors).shape.length !== 0) ctx.fail("expected a scalar rate");
  return Array.from({ length: outputs }, () => first);
}

/** a x + b y for constants a, b. */
function scaledSum(b: GraphBuilder, x: Value, xFactor: number, y: Value, yFactor: number): Value {
  return b.add(b.mul(x, b.scalar(xFactor)), b.mul(y, b.scalar(yFactor)));
}

export const AdamUpdate = defineOp("AdamUpdate", {
  domain: "mttc",
  doc: "m' = b1 m + (1-b1) g; v' = b2 v + (1-b2) g^2; w' = w - rate m' / (sqrt(v') + epsilon)",
  source: "Kingma & Ba, arXiv 1412.6980, in the form of keras.optimizers.Adam",
  inputs: ["parameter", "gradient", "m", "v", "rate"],
  outputs: ["next_parameter", "next_m", "next_v"],
  attrs: { beta1: { kind: "float" }, beta2: { kind: "float" }, epsilon: { kind: "float" } },
  axes: "elementwise",
  precision: "float32",
  infer: (ctx) => inferUpdate(ctx, 4, 3),
  vjp: NO_SECOND_ORDER,
  evaluate: ({ input, attrs }) => {
    const [w, g, m, v, rate] = [input(0), input(1), input(2), input(3), input(4).data[0] ?? 0];
    const [beta1, beta2, epsilon] = [attrs.float("beta1"), attrs.float("beta2"), attrs.float("epsilon")];
    const nextM = like(m, (i) => beta1 * at(m, i) + (1 - beta1) * at(g, i));
    const nextV = like(v, (i) => beta2 * at(v, i) + (1 - beta2) * at(g, i) ** 2);
    const nextW = like(w, (i) => at(w, i) - (rate * at(nextM, i)) / (Math.sqrt(at(nextV, i)) + epsilon));
    return [nextW, nextM, nextV];
  },
  lower: {
    elementwise: ({ b, input, attrs }) => {
      const [w, g, m, v, rate] = [input(0), input(1), input(2), input(3), input(4)];
      const [beta1, beta2] = [attrs.float("beta1"), attrs.float("beta2")];
      const nextM = scaledSum(b, m, beta1, g, 1 - beta1);
      const nextV = scaledSum(b, v, beta2, b.mul(g, g), 1 - beta2);
      const root = b.add(b.emit("Sqrt", [nextV]), b.scalar(attrs.float("epsilon")));
      return [b.sub(w, b.div(b.mul(nextM, rate), root)), nextM, nextV];
    },
  },
});

export const MomentumUpdate = defineOp("MomentumUpdate", {
  domain: "mttc",
  doc: "v' = momentum v - rate g; w' = w + v'",
  source: "keras.optimizers.SGD with momentum, without Nesterov",
  inputs: ["parameter", "gradient", "velocity", "rate"],
  outputs: ["next_parameter", "next_velocity"],
  attrs: { momentum: { kind: "float" } },
  axes: "elementwise",
  precision: "float32",
  infer: (ctx) => inferUpdate(ctx, 3, 2),
  vjp: NO_SECOND_ORDER,
  evaluate: ({ input, attrs }) => {
    const [w, g, velocity, rate] = [input(0), input(1), input(2), input(3).data[0] ?? 0];
    const next = like(velocity, (i) => attrs.float("momentum") * at(velocity, i) - rate * at(g, i));
    return [like(w, (i) => at(w, i) + at(next, i)), next];
  },
  lower: {
    elementwise: ({ b, input, attrs }) => {
      const next = b.sub(b.mul(input(2), b.scalar(attrs.float("momentum"))), b.mul(input(1), input(3)));
      return [b.add(input(0), next), next];
    },
  },
});

function like(array: NDArray, element: (index: number) => number): NDArray {
  return { ...array, data: Float64Array.from(array.data, (_, i) => element(i)) };
}

function at(array: NDArray, index: number): number {
  return array.data[index] ?? Number.NaN;
}
