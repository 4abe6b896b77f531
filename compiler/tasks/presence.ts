// Batches without a label: what is divided by their count is 0, never a division by 0.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";

/** 1 / the number of true elements of `present` [N], and 0 if there is none: float32 scalar. */
export function inverseCountOf(b: GraphBuilder, present: Value): Value {
  return inverseOf(b, b.reduceSum(b.cast(present, "float32"), [0], 0));
}

/** 1 / a number of rows, and 0 if there is none: float32 scalars. */
export function inverseOf(b: GraphBuilder, count: Value): Value {
  const any = b.cast(b.emit("Greater", [count, b.scalar(0)]), "float32");
  return b.div(any, b.emit("Max", [count, b.scalar(1)]));
}

/** 1 / the sum of `weights` [N], none below 0, and 0 if that is 0: float32 scalar. */
export function inverseSumOf(b: GraphBuilder, weights: Value): Value {
  const sum = b.reduceSum(weights, [0], 0);
  const any = b.emit("Greater", [sum, b.scalar(0)]);
  return b.div(b.cast(any, "float32"), b.where(any, sum, b.scalar(1)));
}
