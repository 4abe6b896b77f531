// Cotangents through functions with pieces (rectifiers, clipping), as operators of our own: ONNX Runtime's
// Where costs about ten passes over memory on the CPU, a product with a mask of zeros and ones two or three
// (test/bench/lowerings.ts). A product hands on NaN where an infinite or NaN cotangent meets a 0 of the mask:
// a run that holds such numbers diverges either way, and is seen to.
import { defineOp, type LowerContext, type Lowering, notDifferentiable, type Op } from "../ir/op.ts";
import { sameShape, type Value } from "../ir/types.ts";
import { broadcastShapes, expectKind, scalarLike, zipWith } from "./elementwise.ts";
import { broadcastData, zerosForOutput } from "./strided.ts";

const NO_SECOND_ORDER = notDifferentiable("second derivatives of piecewise functions are not provided");

/** HardSigmoid with it is 1 for every positive normal number, and 0 for the others. */
const STEEPEST = 3e38;

function asNumbers({ b, input }: LowerContext, mask: Value): Value {
  return b.cast(mask, input(0).type.dtype);
}

function isPositive({ b }: LowerContext, y: Value): Value {
  return b.emit("Greater", [y, scalarLike(b, 0, y)]);
}

export const ReluGrad = defineOp("ReluGrad", {
  domain: "mttc",
  doc: "dx = dy where y > 0, else 0, for y = max(x, 0)",
  source: "chain rule on ONNX Relu-14",
  inputs: ["dy", "y"],
  outputs: ["dx"],
  axes: "elementwise",
  precision: "follows",
  infer: (ctx) => {
    const [dy, y] = [ctx.input(0), ctx.input(1)];
    expectKind(ctx, dy, "float");
    if (dy.dtype !== y.dtype || !sameShape(dy.shape, y.shape))
      ctx.fail(`expected two tensors of one type, found ${dy.dtype}[${dy.shape}] and ${y.dtype}[${y.shape}]`);
    return [dy];
  },
  vjp: NO_SECOND_ORDER,
  evaluate: zipWith((dy, y) => (y > 0 ? dy : 0)),
  lower: {
    select: (ctx) => {
      const [dy, y] = [ctx.input(0), ctx.input(1)];
      return [ctx.b.where(isPositive(ctx, y), dy, scalarLike(ctx.b, 0, dy))];
    },
    product: (ctx) => [ctx.b.mul(ctx.input(0), asNumbers(ctx, isPositive(ctx, ctx.input(1))))],
    /** A mask in one pass, of float32: 0 for y below 3e-39, too, which is no normal number. */
    steepProduct: ({ b, input }) => [
      b.mul(input(0), b.emit("HardSigmoid", [input(1)], { alpha: STEEPEST, beta: 0 })),
    ],
  },
});

export const MaskGrad = defineOp("MaskGrad", {
  domain: "mttc",
  doc: "dx = dy where the mask (bool) holds, else 0",
  source: "chain rule on a function that is constant where the mask does not hold",
  inputs: ["dy", "mask"],
  outputs: ["dx"],
  axes: "elementwise",
  precision: "follows",
  infer: (ctx) => {
    const [dy, mask] = [ctx.input(0), ctx.input(1)];
    expectKind(ctx, dy, "float");
    expectKind(ctx, mask, "bool");
    if (!sameShape(dy.shape, mask.shape)) ctx.fail(`expected a mask of [${dy.shape}], found [${mask.shape}]`);
    return [dy];
  },
  vjp: NO_SECOND_ORDER,
  evaluate: zipWith((dy, mask) => (mask === 0 ? 0 : dy)),
  lower: {
    select: ({ b, input }) => [b.where(input(1), input(0), scalarLike(b, 0, input(0)))],
    product: (ctx) => [ctx.b.mul(ctx.input(0), asNumbers(ctx, ctx.input(1)))],
  },
});

/** Both pieces by a product, each with its mask. */
const blend: Lowering = (ctx) => {
  const [onPiece, elsewhere, mask] = [ctx.input(0), ctx.input(1), ctx.input(2)];
  const { b } = ctx;
  const complement = b.emit("Not", [mask]);
  return [b.add(b.mul(onPiece, asNumbers(ctx, mask)), b.mul(elsewhere, asNumbers(ctx, complement)))];
};

export const PieceGrad = defineOp("PieceGrad", {
  domain: "mttc",
  doc: "dx = on_piece where the mask (bool) holds, else elsewhere; all three broadcast",
  source: "chain rule on a function with two pieces",
  inputs: ["on_piece", "elsewhere", "mask"],
  outputs: ["dx"],
  axes: "elementwise",
  precision: "follows",
  infer: (ctx) => {
    const [onPiece, elsewhere, mask] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    expectKind(ctx, onPiece, "float");
    expectKind(ctx, mask, "bool");
    if (onPiece.dtype !== elsewhere.dtype)
      ctx.fail(`expected two tensors of one dtype, found ${onPiece.dtype} and ${elsewhere.dtype}`);
    const shape = broadcastShapes([onPiece.shape, elsewhere.shape, mask.shape], ctx.fail);
    return [{ dtype: onPiece.dtype, shape }];
  },
  vjp: NO_SECOND_ORDER,
  evaluate: (ctx) => {
    const dx = zerosForOutput(ctx);
    const [onPiece, elsewhere, mask] = [0, 1, 2].map((i) => broadcastData(ctx.input(i), dx.shape));
    for (let i = 0; i < dx.data.length; i++) dx.data[i] = mask![i] === 0 ? elsewhere![i]! : onPiece![i]!;
    return [dx];
  },
  lower: {
    select: ({ b, input }) => [b.where(input(2), input(0), input(1))],
    blend,
  },
});

/** Ops of this family. */
export const PIECE_GRADIENTS: readonly Op[] = [ReluGrad, MaskGrad, PieceGrad];
