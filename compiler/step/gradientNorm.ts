// Norms of tensors, and the bound on that of a whole gradient: what is larger than `clip_norm` is scaled down
// to it, all parameters by one factor, so that the step keeps its direction.
import type { GraphBuilder } from "../ir/builder.ts";
import { elementCount, type Value } from "../ir/types.ts";
import { MOST_JOINED } from "../ops/concatSplit.ts";
import { withinOptimizer } from "./lossScaling.ts";

/** Kept off the norm in the quotient (PyTorch's clip_grad_norm_). */
const CLIP_EPSILON = 1e-6;

/** The Euclidean norm of all numbers of a tensor, [1]. */
function lengthOf(b: GraphBuilder, value: Value): Value {
  const flat = b.reshape(value, [elementCount(value.type.shape)]);
  return b.emit("ReduceL2", [flat, b.ints([0])], { keepdims: 1 });
}

/** The same as a scalar. */
export function normOf(b: GraphBuilder, value: Value): Value {
  return b.reshape(lengthOf(b, value), []);
}

/** The Euclidean norm of several tensors as one vector: the norm of their norms, scalar. */
function normOfAll(b: GraphBuilder, values: readonly Value[]): Value {
  let norms = values.map((value) => lengthOf(b, value));
  while (norms.length > 1)
    norms = Array.from({ length: Math.ceil(norms.length / MOST_JOINED) }, (_, group) => {
      const joined = norms.slice(group * MOST_JOINED, (group + 1) * MOST_JOINED);
      return joined.length === 1 ? joined[0]! : lengthOf(b, b.emit("Concat", joined, { axis: 0 }));
    });
  return b.reshape(norms[0] ?? b.scalar(0), []);
}

/**
 * The factor of all gradients, float32 scalar: min(1, most / (norm + 1e-6)) as PyTorch's clip_grad_norm_ has
 * it. NaN where the norm is no finite number (as Keras has it): else an infinite gradient would leave a
 * step of zeros behind, and nobody would see that training has run away.
 */
export function emitClipFactor(b: GraphBuilder, gradients: readonly Value[], most: number): Value {
  return withinOptimizer(b, () => {
    const norm = normOfAll(b, gradients);
    const factor = b.div(b.scalar(most), b.add(norm, b.scalar(CLIP_EPSILON)));
    return b.add(b.emit("Min", [factor, b.scalar(1)]), b.mul(norm, b.scalar(0)));
  });
}
