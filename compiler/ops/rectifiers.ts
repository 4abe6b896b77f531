// Activations with two or three pieces: what x turns into depends on the side of a threshold that it lies on.
// At a threshold the derivative is that of the piece which the reference takes there.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type EvaluateContext, type NDArray, type Op } from "../ir/op.ts";
import type { Value } from "../ir/types.ts";
import { broadcastShapes, expectKind, mapWith, sameAsInput, scalarLike, sumToShape } from "./elementwise.ts";
import { broadcastData, outputWith } from "./strided.ts";

/** A cotangent of two pieces: the first where the mask holds. */
function pieces(b: GraphBuilder, mask: Value, onPiece: Value, elsewhere: Value): Value {
  return b.emit("PieceGrad", [onPiece, elsewhere, mask]);
}

const Relu = defineOp("Relu", {
  doc: "y = max(x, 0); the derivative at 0 is 0",
  source: "ONNX Relu-14",
  inputs: ["x"],
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("number"),
  // dx = dy where y > 0, else 0
  vjp: ({ b, dy, output }) => [b.emit("ReluGrad", [dy, output(0)])],
  evaluate: mapWith((x) => Math.max(x, 0)),
});

const LeakyRelu = defineOp("LeakyRelu", {
  doc: "y = x where x >= 0, else alpha x",
  source: "ONNX LeakyRelu-16",
  inputs: ["x"],
  attrs: { alpha: { kind: "float", default: 0.01 } },
  axes: "elementwise",
  precision: "follows",
  infer: sameAsInput("float"),
  // dx = dy where x >= 0, else alpha dy
  vjp: ({ b, dy, input, attrs }) => {
    const negative = b.emit("Less", [input(0), scalarLike(b, 0, dy)]);
    return [pieces(b, negative, b.mul(dy, scalarLike(b, attrs.float("alpha"), dy)), dy)];
  },
  evaluate: (ctx) => {
    const alpha = ctx.attrs.float("alpha");
    return mapWith((x) => (x < 0 ? alpha * x : x))(ctx);
  },
});

const PRelu = defineOp("PRelu", {
  doc: "y = x where x >= 0, else slope x; the slope broadcasts to the shape of x",
  source: "ONNX PRelu-16",
  inputs: ["x", "slope"],
  axes: "elementwise",
  precision: "follows",
  infer: (ctx) => {
    const [x, slope] = [ctx.input(0), ctx.input(1)];
    expectKind(ctx, x, "float");
    if (
      slope.dtype !== x.dtype ||
      String(broadcastShapes([x.shape, slope.shape], ctx.fail)) !== String(x.shape)
    )
      ctx.fail(
        `expected a slope that broadcasts to ${x.dtype}[${x.shape}], found ${slope.dtype}[${slope.shape}]`,
      );
    return [x];
  },
  // dx = dy where x >= 0, else slope dy; dslope = sum of x dy where x < 0, over what was broadcast
  vjp: ({ b, dy, input, needs }) => {
    const [x, slope] = [input(0), input(1)];
    const zero = scalarLike(b, 0, dy);
    const negative = b.emit("Less", [x, zero]);
    const dslope = () => b.emit("MaskGrad", [b.mul(x, dy), negative]);
    return [
      needs[0] ? pieces(b, negative, b.mul(dy, slope), dy) : undefined,
      needs[1] ? sumToShape(b, dslope(), slope.type.shape) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const slope = broadcastData(ctx.input(1), x.shape);
    return outputWith(
      ctx,
      x.data.map((value, i) => (value < 0 ? slope[i]! * value : value)),
    );
  },
});

const Elu = defineOp("Elu", {
  doc: "y = x where x > 0, else alpha (e^x - 1)",
  source: "ONNX Elu-6",
  inputs: ["x"],
  attrs: { alpha: { kind: "float", default: 1 } },
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy where x > 0, else dy (y + alpha)
  vjp: ({ b, dy, input, output, attrs }) => {
    const positive = b.emit("Greater", [input(0), scalarLike(b, 0, dy)]);
    const left = b.mul(dy, b.add(output(0), scalarLike(b, attrs.float("alpha"), dy)));
    return [pieces(b, positive, dy, left)];
  },
  evaluate: (ctx) => {
    const alpha = ctx.attrs.float("alpha");
    return mapWith((x) => (x > 0 ? x : alpha * Math.expm1(x)))(ctx);
  },
});

const Selu = defineOp("Selu", {
  doc: "y = gamma x where x > 0, else gamma alpha (e^x - 1)",
  source: "ONNX Selu-6 (Klambauer et al. 2017)",
  inputs: ["x"],
  attrs: {
    alpha: { kind: "float", default: 1.6732632423543772 },
    gamma: { kind: "float", default: 1.0507009873554805 },
  },
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = gamma dy where x > 0, else dy (y + gamma alpha)
  vjp: ({ b, dy, input, output, attrs }) => {
    const [alpha, gamma] = [attrs.float("alpha"), attrs.float("gamma")];
    const positive = b.emit("Greater", [input(0), scalarLike(b, 0, dy)]);
    const left = b.add(output(0), scalarLike(b, gamma * alpha, dy));
    return [b.mul(dy, pieces(b, positive, scalarLike(b, gamma, dy), left))];
  },
  evaluate: (ctx) => {
    const [alpha, gamma] = [ctx.attrs.float("alpha"), ctx.attrs.float("gamma")];
    return mapWith((x) => gamma * (x > 0 ? x : alpha * Math.expm1(x)))(ctx);
  },
});

const Celu = defineOp("Celu", {
  doc: "y = x where x > 0, else alpha (e^(x / alpha) - 1)",
  source: "ONNX Celu-12 (Barron 2017)",
  inputs: ["x"],
  attrs: { alpha: { kind: "float", default: 1 } },
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy where x > 0, else dy (y / alpha + 1)
  vjp: ({ b, dy, input, output, attrs }) => {
    const positive = b.emit("Greater", [input(0), scalarLike(b, 0, dy)]);
    const slope = b.add(b.div(output(0), scalarLike(b, attrs.float("alpha"), dy)), scalarLike(b, 1, dy));
    return [pieces(b, positive, dy, b.mul(dy, slope))];
  },
  evaluate: (ctx) => {
    const alpha = ctx.attrs.float("alpha");
    return mapWith((x) => (x > 0 ? x : alpha * Math.expm1(x / alpha)))(ctx);
  },
});

const ThresholdedRelu = defineOp("ThresholdedRelu", {
  doc: "y = x where x > alpha, else 0",
  source: "ONNX ThresholdedRelu-10",
  inputs: ["x"],
  attrs: { alpha: { kind: "float", default: 1 } },
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy where x > alpha, else 0
  vjp: ({ b, dy, input, attrs }) => {
    const above = b.emit("Greater", [input(0), scalarLike(b, attrs.float("alpha"), dy)]);
    return [b.emit("MaskGrad", [dy, above])];
  },
  evaluate: (ctx) => {
    const alpha = ctx.attrs.float("alpha");
    return mapWith((x) => (x > alpha ? x : 0))(ctx);
  },
});

const Shrink = defineOp("Shrink", {
  doc: "y = x + bias where x < -lambd, x - bias where x > lambd, else 0",
  source: "ONNX Shrink-9",
  inputs: ["x"],
  attrs: { bias: { kind: "float", default: 0 }, lambd: { kind: "float", default: 0.5 } },
  axes: "elementwise",
  precision: "float32",
  infer: sameAsInput("float"),
  // dx = dy where |x| > lambd, else 0
  vjp: ({ b, dy, input, attrs }) => {
    const magnitude: Value = b.emit("Abs", [input(0)]);
    const outside = b.emit("Greater", [magnitude, scalarLike(b, attrs.float("lambd"), dy)]);
    return [b.emit("MaskGrad", [dy, outside])];
  },
  evaluate: evaluateShrink,
});

function evaluateShrink(ctx: EvaluateContext): readonly NDArray[] {
  const [bias, lambd] = [ctx.attrs.float("bias"), ctx.attrs.float("lambd")];
  return mapWith((x) => {
    if (x < -lambd) return x + bias;
    return x > lambd ? x - bias : 0;
  })(ctx);
}

/** Ops of this family. */
export const RECTIFIERS: readonly Op[] = [Relu, LeakyRelu, PRelu, Elu, Selu, Celu, ThresholdedRelu, Shrink];
