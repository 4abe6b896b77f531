// What all elementwise ops share: dtype and (numpy) broadcasting rules, loops of the reference, and the
// adjoint of broadcasting. Ops themselves stand in arithmetic, elementary and comparison.
import type { GraphBuilder } from "../ir/builder.ts";
import type { EvaluateContext, InferContext, NDArray, VjpContext } from "../ir/op.ts";
import type { Dim, DType, Shape, TensorType, Value } from "../ir/types.ts";
import { concreteShape, isFloat } from "../ir/types.ts";
import { range } from "./axes.ts";
import { broadcastData, outputWith, zerosForOutput } from "./strided.ts";

/** Kinds of dtypes that an op takes. */
export type DTypeKind = "float" | "number" | "bool" | "any";

/** Fails unless `type` is of the kind. */
export function expectKind(ctx: InferContext, type: TensorType, kind: DTypeKind): void {
  const { dtype } = type;
  const fits =
    kind === "any" ||
    (kind === "float" && isFloat(dtype)) ||
    (kind === "number" && dtype !== "bool") ||
    (kind === "bool" && dtype === "bool");
  if (!fits) ctx.fail(`expected a ${kind} tensor, found ${dtype}`);
}

/** Shape rule: one input, the output is of the same type. */
export function sameAsInput(kind: DTypeKind): (ctx: InferContext) => readonly TensorType[] {
  return (ctx) => {
    expectKind(ctx, ctx.input(0), kind);
    return [ctx.input(0)];
  };
}

/**
 * Shape rule: inputs of one dtype broadcast together; the output's dtype is theirs unless `result` says
 * another.
 */
export function broadcastInputs(
  kind: DTypeKind,
  result?: DType,
): (ctx: InferContext) => readonly TensorType[] {
  return (ctx) => {
    const { dtype } = ctx.input(0);
    const shapes = ctx.inputs.map((_, i) => {
      const type = ctx.input(i);
      expectKind(ctx, type, kind);
      if (type.dtype !== dtype) ctx.fail(`expected inputs of one dtype, found ${dtype} and ${type.dtype}`);
      return type.shape;
    });
    return [{ dtype: result ?? dtype, shape: broadcastShapes(shapes, ctx.fail) }];
  };
}

/** Numpy broadcasting, from the last dimension on: equal, or one of them 1; a symbol equals itself only. */
export function broadcastShapes(shapes: readonly Shape[], fail: (message: string) => never): Dim[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return range(rank).map((axis) => {
    const dims = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const dim = dims.find((each) => each !== 1) ?? 1;
    if (dims.some((each) => each !== 1 && each !== dim))
      fail(`expected shapes that broadcast, found ${shapes.map((shape) => `[${shape}]`).join(" and ")}`);
    return dim;
  });
}

/** Reference of a unary op. */
export function mapWith(f: (x: number) => number): (ctx: EvaluateContext) => readonly NDArray[] {
  return (ctx) => outputWith(ctx, ctx.input(0).data.map(f));
}

/** Reference of a binary op; of more inputs, f is folded from the left. */
export function zipWith(f: (x: number, y: number) => number): (ctx: EvaluateContext) => readonly NDArray[] {
  return (ctx) => {
    const result = zerosForOutput(ctx);
    result.data.set(broadcastData(ctx.input(0), result.shape));
    for (const input of ctx.inputs.slice(1)) {
      const data = broadcastData(input ?? ctx.input(1), result.shape);
      for (let i = 0; i < data.length; i++) result.data[i] = f(result.data[i]!, data[i]!);
    }
    return [result];
  };
}

/**
 * The adjoint of broadcasting `shape` to the shape of `value`: sums over the axes that were stretched or
 * added.
 */
export function sumToShape(b: GraphBuilder, value: Value, shape: Shape): Value {
  const extra = value.type.shape.length - shape.length;
  const axes = value.type.shape.flatMap((dim, axis) =>
    axis < extra || (shape[axis - extra] === 1 && dim !== 1) ? [axis] : [],
  );
  if (axes.length === 0) return value;
  if (axes.length === extra) return b.reduceSum(value, axes, 0);
  const sum = b.reduceSum(value, axes, 1);
  return extra === 0 ? sum : b.emit("Squeeze", [sum, b.ints(range(extra))]);
}

/**
 * Cotangents of broadcast inputs: `rules[i]` gives that of input i in the output's shape; those wanted are
 * emitted and summed back to the shapes of their inputs.
 */
export function unbroadcastAll(
  ctx: VjpContext,
  rules: readonly (() => Value)[],
): readonly (Value | undefined)[] {
  return rules.map((rule, i) =>
    ctx.needs[i] ? sumToShape(ctx.b, rule(), ctx.input(i).type.shape) : undefined,
  );
}

/**
 * A number of the dtype of `like` in its shape. Where that has a symbol, Expand would need a shape that is no
 * constant: then it is what a condition that never holds leaves, whatever `like` holds.
 */
export function fillLike(b: GraphBuilder, value: number, like: Value): Value {
  const { shape } = like.type;
  const number = scalarLike(b, value, like);
  if (shape.every((dim) => typeof dim === "number")) return b.expand(number, concreteShape(shape));
  return b.where(b.emit("Less", [like, like]), like, number);
}

/** A scalar constant of the dtype of `like`. */
export function scalarLike(b: GraphBuilder, value: number, like: Value): Value {
  return b.scalar(value, like.type.dtype);
}
