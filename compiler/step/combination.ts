// The tasks' gradients of what they share made one: their Gram matrix, the weights that the spec's method
// makes of it, the weighed sum. Both places of a step where this can be come here: after the gradients of a
// logical batch are complete, or at the shared features.
import { emitWeights } from "../combine/combiner.ts";
import type { Combination } from "../combine/combiners.ts";
import { need } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { DrawRole } from "../ir/roles.ts";
import { concreteDim, elementCount, type Value } from "../ir/types.ts";
import { type LossSpec, taskWeight } from "../model/objective.ts";
import type { Spec } from "../spec/schema.ts";

/** Name of the output of the role "gram". */
const GRAM = "gram";
/** Name of the output of the role "gradient_weights". */
export const GRADIENT_WEIGHTS = "gradient_weights";

/** A task whose gradient is combined with others'. */
export interface CombinedTask {
  readonly name: string;
  /**
   * Float32 scalar, 0 where the task has no label in the logical batch. Undefined of one whose weight in the
   * loss is 0: it is never present.
   */
  readonly inverseCount: Value | undefined;
}

export function combinedTasks(
  spec: LossSpec & Pick<Spec, "tasks">,
  tasks: readonly string[],
  inverseCount: (task: string) => Value,
): readonly CombinedTask[] {
  return tasks.map((name) => {
    const isTrained = taskWeight(spec, spec.tasks.indexOf(name)) !== 0;
    return { name, inverseCount: isTrained ? inverseCount(name) : undefined };
  });
}

/**
 * The weights of the tasks' gradients, float32 [1,T]. `stacks`: the gradients of the whole logical batch,
 * each float32 [T,n] of some of the numbers; `unscale`, a float32 scalar, takes off the loss scale that they
 * have. Declares the outputs of the roles "gram" and "gradient_weights", without it. Products are summed in
 * float64: float32 sums of millions are off by up to 1e-3, and tf32 would round what goes into them.
 */
export function emitCombination(
  b: GraphBuilder,
  { combiner, settings }: Combination,
  tasks: readonly CombinedTask[],
  stacks: readonly Value[],
  unscale?: Value | undefined,
): Value {
  const count = tasks.length;
  const gram = gramOf(b, stacks, unscale);
  const counts = tasks.map(({ inverseCount }) => b.reshape(inverseCount ?? b.scalar(0), [1]));
  const isPresent = b.emit("Greater", [b.emit("Concat", counts, { axis: 0 }), b.scalar(0)]);
  const weights = emitWeights(b, combiner, {
    ...{ gram, present: b.cast(isPresent, "float64"), settings },
    host: (name) => hostInput(b, combiner.name, name, count, need(combiner.host?.[name], name)),
  });
  const names = tasks.map(({ name }) => name);
  const told = b.cast(weights, "float32");
  b.output(GRAM, b.cast(gram, "float32"), { role: "gram", tasks: names });
  b.output(GRADIENT_WEIGHTS, told, { role: "gradient_weights", tasks: names });
  return b.reshape(told, [1, count]);
}

/** float64 [T,T] */
function gramOf(b: GraphBuilder, stacks: readonly Value[], unscale: Value | undefined): Value {
  const products = stacks.map((stack) => {
    const exact = b.cast(stack, "float64");
    return b.emit("Gemm", [exact, exact], { transB: 1 });
  });
  const sum = products.reduce(
    (sum: Value | undefined, product) => (sum ? b.add(sum, product) : product),
    undefined,
  );
  const gram = need(sum, GRAM);
  if (!unscale) return gram;
  const factor = b.cast(unscale, "float64");
  return b.mul(gram, b.mul(factor, factor));
}

/** What the host draws for a step, declared once: int64 [T,T-1]. */
function hostInput(
  b: GraphBuilder,
  method: string,
  name: string,
  tasks: number,
  draw: DrawRole["draw"],
): Value {
  const input = `draw/${method}/${name}`;
  const role = { role: "draw", draw, stream: `combine ${method} ${name}` } as const;
  return b.findInput(input) ?? b.input(input, "int64", [tasks, tasks - 1], role);
}

/**
 * sum over tasks of weight * row: `weights` [1,T], `stack` [T,n]; of the given shape, which has n
 * elements. Where products of matrices may be rounded to tf32 it is none: it would lose digits that the
 * gradients have.
 */
export function weighedSum(
  b: GraphBuilder,
  weights: Value,
  stack: Value,
  shape: readonly number[],
  { precision }: Pick<Spec, "precision">,
): Value {
  if (precision === "fp32") return b.reshape(b.emit("MatMul", [weights, stack]), shape);
  const column = b.reshape(weights, [concreteDim(stack.type.shape[0]), 1]);
  return b.reshape(b.reduceSum(b.mul(stack, column), [0], 0), shape);
}

/** Gradients by task, [T, ...shape], as rows of numbers, [T,n]. */
export function asRows(b: GraphBuilder, stack: Value): Value {
  const [count, ...shape] = stack.type.shape;
  return b.reshape(stack, [Number(count), elementCount(shape)]);
}
