// Ops that keep the elements in their order and change their shape. Symbolic
// dimensions pass through wherever the products of the dimensions prove that they may.
import { quotientDim } from "../ir/dims.ts";
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import type { Dim, Shape } from "../ir/types.ts";
import { constantNumbers, range, reshapeTo, resolveAxes } from "./axes.ts";
import { outputWith } from "./strided.ts";

const Identity = defineOp("Identity", {
  doc: "y = x",
  source: "ONNX Identity-16",
  inputs: ["x"],
  traits: ["movesData"],
  axes: "elementwise",
  precision: "follows",
  identity: "typeKept",
  infer: (ctx) => [ctx.input(0)],
  // dx = dy
  vjp: ({ dy }) => [dy],
  evaluate: sameElements,
});

const Reshape = defineOp("Reshape", {
  doc: "y = the elements of x in another shape (constant): 0 copies a dimension, one -1 stands for the rest",
  source: "ONNX Reshape-14",
  inputs: ["x", "shape"],
  attrs: { allowzero: { kind: "int", default: 0 } },
  traits: ["movesData"],
  axes: "reshapes",
  precision: "follows",
  hostInputs: [1],
  identity: "reshape",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    return [{ dtype, shape: reshapedShape(ctx, shape, ctx.constant(1), ctx.attrs.int("allowzero") === 1) }];
  },
  // dx = dy in the shape of x
  vjp: ({ b, dy, input }) => [reshapeTo(b, dy, input(0).type.shape), undefined],
  evaluate: sameElements,
});

const Flatten = defineOp("Flatten", {
  doc: "y = the elements of x as a matrix: dimensions before `axis` make its rows, the others its columns",
  source: "ONNX Flatten-13",
  inputs: ["x"],
  attrs: { axis: { kind: "int", default: 1 } },
  traits: ["movesData"],
  axes: "reshapes",
  precision: "follows",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const given = ctx.attrs.int("axis");
    const axis = given < 0 ? given + shape.length : given;
    if (axis < 0 || axis > shape.length)
      ctx.fail(`expected an axis of a tensor with ${shape.length} dimensions, found ${given}`);
    const sides = [shape.slice(0, axis), shape.slice(axis)];
    return [{ dtype, shape: sides.map((side) => quotientDim(side, [], ctx.fail)) }];
  },
  // dx = dy in the shape of x
  vjp: ({ b, dy, input }) => [reshapeTo(b, dy, input(0).type.shape)],
  evaluate: sameElements,
});

const Squeeze = defineOp("Squeeze", {
  doc: "y = x without the given axes (constant), all of size 1; without axes, all of that size go",
  source: "ONNX Squeeze-13",
  inputs: ["x", "axes?"],
  traits: ["movesData"],
  axes: "reshapes",
  precision: "follows",
  hostInputs: [1],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const listed = ctx.inputs[1] ? ctx.constant(1) : undefined;
    const axes = squeezedAxes(listed, shape, ctx.fail);
    for (const axis of axes)
      if (shape[axis] !== 1) ctx.fail(`expected size 1 at axis ${axis}, found [${shape}]`);
    return [{ dtype, shape: shape.filter((_, axis) => !axes.includes(axis)) }];
  },
  // dx = dy with the axes put back
  vjp: ({ b, dy, input, inputs }) => {
    const axes = squeezedAxes(constantNumbers(b, inputs[1]), input(0).type.shape);
    return [b.emit("Unsqueeze", [dy, b.ints(axes)]), undefined];
  },
  evaluate: sameElements,
});

const Unsqueeze = defineOp("Unsqueeze", {
  doc: "y = x with axes of size 1 put in at the given places (constant) of the result",
  source: "ONNX Unsqueeze-13",
  inputs: ["x", "axes"],
  traits: ["movesData"],
  axes: "stops",
  precision: "follows",
  hostInputs: [1],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const listed = ctx.constant(1);
    const rank = shape.length + listed.length;
    const axes = resolveAxes(listed, rank, ctx.fail);
    const rest = [...shape];
    return [{ dtype, shape: range(rank).map((axis) => (axes.includes(axis) ? 1 : (rest.shift() ?? 1))) }];
  },
  // dx = dy without the axes
  vjp: ({ b, dy, input }) => [b.emit("Squeeze", [dy, input(1)]), undefined],
  evaluate: sameElements,
});

function sameElements(ctx: EvaluateContext): readonly NDArray[] {
  return outputWith(ctx, ctx.input(0).data);
}

function squeezedAxes(
  listed: readonly number[] | undefined,
  shape: Shape,
  fail?: (message: string) => never,
): number[] {
  if (listed) return resolveAxes(listed, shape.length, fail);
  return range(shape.length).filter((axis) => shape[axis] === 1);
}

function reshapedShape(
  ctx: InferContext,
  shape: Shape,
  wanted: readonly number[],
  zeroIsSize: boolean,
): readonly Dim[] {
  const wrong = (why: string): never =>
    ctx.fail(`expected a shape that [${shape}] can take, found [${wanted}]: ${why}`);
  const dims = wanted.map((size, axis): Dim => {
    if (size === 0 && !zeroIsSize) return shape[axis] ?? wrong(`there is no dimension ${axis} to copy`);
    return size;
  });
  if (wanted.some((size) => size < -1)) wrong("a size is below -1");
  const open = dims.indexOf(-1);
  const others = dims.filter((_, axis) => axis !== open);
  if (others.includes(-1)) wrong("-1 stands twice");
  const rest = quotientDim(shape, others, wrong);
  if (open >= 0) return dims.with(open, rest);
  if (rest !== 1 && !(rest === 0 && numberProduct(others) === 0)) wrong("the number of elements differs");
  return dims;
}

function numberProduct(dims: Shape): number {
  return dims.reduce((product: number, dim) => (typeof dim === "number" ? product * dim : product), 1);
}

/** Ops of this family. */
export const RESHAPING: readonly Op[] = [Identity, Reshape, Flatten, Squeeze, Unsqueeze];
