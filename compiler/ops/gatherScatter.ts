// Ops that pick or place elements by indices that are values of the graph. Negative indices count from the
// end.
import { InternalError, MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteShape, elementCount, isFloat, type Value } from "../ir/types.ts";
import { reshapeTo, resolveAxis } from "./axes.ts";
import { fillLike } from "./elementwise.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets, zerosForOutput } from "./strided.ts";

const AXIS = { kind: "int", default: 0 } as const;

const Gather = defineOp("Gather", {
  doc: "y[.., i, ..] = x[.., indices[i], ..] at `axis`; the indices (int32, int64) may have any shape",
  source: "ONNX Gather-13",
  inputs: ["x", "indices"],
  attrs: { axis: AXIS },
  traits: ["movesData"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    expectIndices(ctx);
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    return [{ dtype, shape: shape.toSpliced(axis, 1, ...ctx.input(1).shape) }];
  },
  // dx[.., k, ..] = sum of dy[.., i, ..] over all i with indices[i] = k
  vjp: ({ b, dy, input, attrs }) => {
    const x = input(0).type.shape;
    const axis = resolveAxis(attrs.int("axis"), x.length);
    const count = elementCount(input(1).type.shape);
    const picked = x.with(axis, count);
    const column = b.reshape(
      input(1),
      x.map((_, i) => (i === axis ? count : 1)),
    );
    const updates = reshapeTo(b, dy, picked);
    const isOpen = picked.some((dim) => typeof dim === "string");
    const indices = isOpen
      ? b.add(column, b.cast(fillLike(b, 0, updates), column.type.dtype))
      : b.expand(column, concreteShape(picked));
    return [scatterAdd(b, input(0), indices, updates, axis), undefined];
  },
  evaluate: (ctx) => {
    const [x, indices] = [ctx.input(0), ctx.input(1)];
    const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
    const size = x.shape[axis]!;
    const outer = elementCount(x.shape.slice(0, axis));
    const inner = elementCount(x.shape.slice(axis + 1));
    const y = zerosForOutput(ctx);
    let at = 0;
    for (let o = 0; o < outer; o++)
      for (const index of indices.data) {
        const from = (o * size + wrapIndex(index, size)) * inner;
        y.data.set(x.data.subarray(from, from + inner), at);
        at += inner;
      }
    return [y];
  },
});

const GatherElements = defineOp("GatherElements", {
  doc: "y[i, j] = x[indices[i, j], j] for axis 0, and so on; y has the shape of the indices",
  source: "ONNX GatherElements-13",
  inputs: ["x", "indices"],
  attrs: { axis: AXIS },
  traits: ["movesData"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    expectElementIndices(ctx);
    return [{ dtype: ctx.input(0).dtype, shape: ctx.input(1).shape }];
  },
  // dx[indices[i, j], j] += dy[i, j]
  vjp: ({ b, dy, input, attrs }) => [scatterAdd(b, input(0), input(1), dy, attrs.int("axis")), undefined],
  evaluate: (ctx) => outputWith(ctx, takeOffsets(ctx.input(0).data, elementOffsets(ctx))),
});

const ScatterElements = defineOp("ScatterElements", {
  doc: "y = x, but y[indices[i, j], j] = updates[i, j] for axis 0, and so on; or += where reduction is add",
  source: "ONNX ScatterElements-18",
  inputs: ["x", "indices", "updates"],
  attrs: { axis: AXIS, reduction: { kind: "string", default: "none" } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    expectElementIndices(ctx);
    const [x, indices, updates] = [ctx.input(0), ctx.input(1), ctx.input(2)];
    if (updates.dtype !== x.dtype || String(updates.shape) !== String(indices.shape))
      ctx.fail(`expected updates ${x.dtype}[${indices.shape}], found ${updates.dtype}[${updates.shape}]`);
    const reduction = ctx.attrs.string("reduction");
    if (reduction !== "none" && reduction !== "add")
      ctx.fail(`expected the reduction none or add, found ${reduction}`);
    return [x];
  },
  // dupdates[i, j] = dy[indices[i, j], j]; dx = dy, but 0 at the indices where they replace (they must differ
  // then)
  vjp: ({ b, dy, input, attrs, needs }) => {
    const axis = attrs.int("axis");
    const zero = (): Value => b.expand(b.scalar(0, dy.type.dtype), concreteShape(input(1).type.shape));
    const replaces = attrs.string("reduction") === "none";
    const kept = () => (replaces ? b.emit("ScatterElements", [dy, input(1), zero()], { axis }) : dy);
    return [
      needs[0] ? kept() : undefined,
      undefined,
      needs[2] ? b.emit("GatherElements", [dy, input(1)], { axis }) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const data = ctx.input(0).data.slice();
    const updates = ctx.input(2).data;
    const adds = ctx.attrs.string("reduction") === "add";
    elementOffsets(ctx).forEach((offset, i) => {
      data[offset] = (adds ? data[offset]! : 0) + updates[i]!;
    });
    return outputWith(ctx, data);
  },
});

function expectIndices(ctx: InferContext): void {
  const { dtype } = ctx.input(1);
  if (dtype !== "int32" && dtype !== "int64") ctx.fail(`expected indices of int32 or int64, found ${dtype}`);
}

function expectElementIndices(ctx: InferContext): void {
  expectIndices(ctx);
  const [x, indices] = [ctx.input(0), ctx.input(1)];
  resolveAxis(ctx.attrs.int("axis"), x.shape.length, ctx.fail);
  if (x.shape.length !== indices.shape.length)
    ctx.fail(`expected indices of as many dimensions as [${x.shape}], found [${indices.shape}]`);
}

/** Zeros of the shape of `x`, with `updates` added at the indices. */
function scatterAdd(b: GraphBuilder, x: Value, indices: Value, updates: Value, axis: number): Value {
  if (!isFloat(x.type.dtype))
    throw new InternalError(`the cotangent of ${x.name}, ${x.type.dtype}, is asked for`);
  const zeros = fillLike(b, 0, x);
  return b.emit("ScatterElements", [zeros, indices, updates], { axis, reduction: "add" });
}

/** Offset into input 0 for every element of the indices (input 1). */
function elementOffsets(ctx: EvaluateContext): Int32Array {
  const [x, indices]: readonly [NDArray, NDArray] = [ctx.input(0), ctx.input(1)];
  const axis = resolveAxis(ctx.attrs.int("axis"), x.shape.length);
  const strides = stridesOf(x.shape);
  const base = viewOffsets(indices.shape, strides.with(axis, 0));
  return base.map((offset, i) => offset + wrapIndex(indices.data[i]!, x.shape[axis]!) * strides[axis]!);
}

function wrapIndex(index: number, size: number): number {
  if (index < -size || index >= size)
    return invalid(`expected an index into ${size} elements, found ${index}`);
  return index < 0 ? index + size : index;
}

function invalid(message: string): never {
  throw new MttcError({ code: "E_SHAPE", message });
}

/** Ops of this family. */
export const GATHER_SCATTER: readonly Op[] = [Gather, GatherElements, ScatterElements];
