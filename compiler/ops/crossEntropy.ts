// Masked softmax cross-entropy from logits, with the counts that losses and metrics are made of, and its
// gradient. Rows whose label is missing (-1) count nowhere: their gradient is exactly 0, whatever their
// logits hold.
import { defineOp, type InferContext, notDifferentiable } from "../ir/op.ts";
import { CROSS_ENTROPY_FORMS, CROSS_ENTROPY_GRADIENT_FORMS } from "./crossEntropyForms.ts";
import { floatType } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/**
 * loss_sum = sum over labelled rows of log sum exp(logits) - logits[label]; sums, so that batches can be
 * joined.
 */
export const MaskedCrossEntropy = defineOp("MaskedCrossEntropy", {
  domain: "mttc",
  doc:
    "logits [N,K], labels int64 [N] in -1 (missing) to K-1 -> scalars: loss_sum, count of labelled rows, and correct, " +
    "the number of rows whose first largest logit is the label's",
  source: "Keras SparseCategoricalCrossentropy from logits with ignore_class -1",
  inputs: ["logits", "labels"],
  outputs: ["loss_sum", "count", "correct"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const scalar = { dtype: checkLogits(ctx).dtype, shape: [] };
    return [scalar, scalar, scalar];
  },
  // dlogits = MaskedCrossEntropyGrad(logits, labels, dloss_sum); the counts are piecewise constant
  vjp: ({ b, input, cotangents: [dLossSum] }) => [
    dLossSum && b.emit("MaskedCrossEntropyGrad", [input(0), input(1), dLossSum]),
  ],
  evaluate: (ctx) => {
    const [lossSum, count, correct] = [
      zerosForOutput(ctx, 0),
      zerosForOutput(ctx, 1),
      zerosForOutput(ctx, 2),
    ];
    visitLabelledRows(ctx.input(0).data, ctx.input(1).data, (row, label) => {
      const best = Math.max(...row);
      const logSum = best + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - best), 0));
      lossSum.data[0]! += logSum - row[label]!;
      count.data[0]! += 1;
      correct.data[0]! += row.indexOf(best) === label ? 1 : 0;
    });
    return [lossSum, count, correct];
  },
  lower: CROSS_ENTROPY_FORMS,
});

/** dlogits[n,k] = dloss_sum (softmax(logits[n])[k] - (k = labels[n])) in labelled rows, 0 in the others. */
export const MaskedCrossEntropyGrad = defineOp("MaskedCrossEntropyGrad", {
  domain: "mttc",
  doc: "gradient of MaskedCrossEntropy: logits [N,K], labels [N], scalar d_loss_sum -> dlogits; exactly 0 where missing",
  source: "derivative of log-sum-exp",
  inputs: ["logits", "labels", "d_loss_sum"],
  outputs: ["dlogits"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [checkLogits(ctx)],
  vjp: notDifferentiable("second derivatives of the loss are not provided"),
  evaluate: (ctx) => {
    const dlogits = zerosForOutput(ctx, 0);
    const factor = ctx.input(2).data[0]!;
    visitLabelledRows(ctx.input(0).data, ctx.input(1).data, (row, label, start) => {
      const best = Math.max(...row);
      const sum = row.reduce((total, logit) => total + Math.exp(logit - best), 0);
      row.forEach((logit, k) => {
        dlogits.data[start + k] = factor * (Math.exp(logit - best) / sum - (k === label ? 1 : 0));
      });
    });
    return [dlogits];
  },
  lower: CROSS_ENTROPY_GRADIENT_FORMS,
});

function checkLogits(ctx: InferContext) {
  const [logits, labels] = [ctx.input(0), ctx.input(1)];
  if (
    logits.shape.length !== 2 ||
    labels.dtype !== "int64" ||
    String(labels.shape) !== String(logits.shape[0])
  )
    ctx.fail(`expected logits [N,K] and int64 labels [N], found [${logits.shape}] and [${labels.shape}]`);
  return floatType(ctx, logits.shape, [0]);
}

function visitLabelledRows(
  logits: Float64Array,
  labels: Float64Array,
  visit: (row: Float64Array, label: number, start: number) => void,
): void {
  const classes = logits.length / labels.length;
  labels.forEach((label, n) => {
    const start = n * classes;
    if (label >= 0) visit(logits.subarray(start, start + classes), label, start);
  });
}
