// Spellings of the masked cross-entropy and its gradient in standard ONNX operators. Rows are chosen with
// Where, never by a product with a mask: an infinite or undefined logit of an unlabelled row must not reach
// any result.
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import { concreteDim, type Value } from "../ir/types.ts";

/** [N, K]: whether class k is the row's label; a missing label (-1) is equal to no class. */
function oneHot(ctx: LowerContext): Value {
  const { b } = ctx;
  const k = concreteDim(ctx.input(0).type.shape[1]);
  const classes = b.ints(Array.from({ length: k }, (_, i) => i));
  return b.emit("Equal", [b.reshape(ctx.input(1), [rows(ctx), 1]), classes]);
}

/** N, or -1, which a reshape takes for whatever it is. */
function rows(ctx: LowerContext): number {
  const [n] = ctx.input(0).type.shape;
  return typeof n === "number" ? n : -1;
}

/** bool [N]: whether the row has a label. */
function labelled(ctx: LowerContext): Value {
  return ctx.b.emit("GreaterOrEqual", [ctx.input(1), ctx.b.scalar(0, "int64")]);
}

/** How many elements of `condition` [N] are true, as a float scalar. */
function countTrue(ctx: LowerContext, condition: Value): Value {
  return ctx.b.reduceSum(ctx.b.cast(condition, ctx.input(0).type.dtype), [0], 0);
}

const logSoftmax: Lowering = (ctx) => {
  const { b } = ctx;
  const zero = b.scalar(0, ctx.input(0).type.dtype);
  const logProbabilities = b.emit("LogSoftmax", [ctx.input(0)], { axis: 1 });
  const ofLabels = b.where(oneHot(ctx), logProbabilities, zero);
  const best = b.emit("ArgMax", [ctx.input(0)], { axis: 1, keepdims: 0 });
  return [
    b.neg(b.reduceSum(ofLabels, [0, 1], 0)),
    countTrue(ctx, labelled(ctx)),
    countTrue(ctx, b.emit("Equal", [best, ctx.input(1)])),
  ];
};

const softmax: Lowering = (ctx) => {
  const { b } = ctx;
  const { dtype } = ctx.input(0).type;
  const residual = b.sub(b.emit("Softmax", [ctx.input(0)], { axis: 1 }), b.cast(oneHot(ctx), dtype));
  const scaled = b.mul(residual, ctx.input(2));
  return [b.where(b.reshape(labelled(ctx), [rows(ctx), 1]), scaled, b.scalar(0, dtype))];
};

/** Forms of MaskedCrossEntropy by name. */
export const CROSS_ENTROPY_FORMS = { logSoftmax } as const satisfies Forms;
/** Forms of MaskedCrossEntropyGrad by name. */
export const CROSS_ENTROPY_GRADIENT_FORMS = { softmax } as const satisfies Forms;
