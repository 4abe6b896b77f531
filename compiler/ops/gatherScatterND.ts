// Slices picked and placed by tuples of indices: the last axis of the indices is a place in x. Negative ones
// count from the end.
import { MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteShape, elementCount, type Value } from "../ir/types.ts";
import { range } from "./axes.ts";
import { outputWith, stridesOf, zerosForOutput } from "./strided.ts";

const GatherND = defineOp("GatherND", {
  doc: "y[i..] = x[indices[i..]]: slices of x at tuples of indices (int64), after batch_dims common axes",
  source: "ONNX GatherND-13",
  inputs: ["x", "indices"],
  attrs: { batch_dims: { kind: "int", default: 0 } },
  traits: ["movesData"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const batch = ctx.attrs.int("batch_dims");
    const { shape: at } = ctx.input(1);
    const depth = tupleSize(ctx, batch);
    if (batch < 0) ctx.fail(`expected batch_dims of 0 or more, found ${batch}`);
    if (String(shape.slice(0, batch)) !== String(at.slice(0, batch)))
      ctx.fail(`expected ${batch} common axes, found [${shape}] and [${at}]`);
    return [{ dtype, shape: [...at.slice(0, -1), ...shape.slice(batch + depth)] }];
  },
  // dx[indices[i..]] += dy[i..], the common axes written into the tuples
  vjp: ({ b, dy, input, attrs }) => {
    const zeros = b.expand(b.scalar(0, dy.type.dtype), concreteShape(input(0).type.shape));
    const places = withBatchPlaces(b, input(1), attrs.int("batch_dims"));
    return [b.emit("ScatterND", [zeros, places, dy], { reduction: "add" })];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const { starts, inner } = sliceStarts(x, ctx.input(1), ctx.attrs.int("batch_dims"));
    const y = zerosForOutput(ctx);
    starts.forEach((start, i) => {
      y.data.set(x.data.subarray(start, start + inner), i * inner);
    });
    return [y];
  },
});

const ScatterND = defineOp("ScatterND", {
  doc: "y = x, but y[indices[i..]] = updates[i..], slices at tuples of indices; or += where reduction is add",
  source: "ONNX ScatterND-18",
  inputs: ["x", "indices", "updates"],
  attrs: { reduction: { kind: "string", default: "none" } },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const depth = tupleSize(ctx, 0);
    const expected = [...ctx.input(1).shape.slice(0, -1), ...shape.slice(depth)];
    const updates = ctx.input(2);
    if (updates.dtype !== dtype || String(updates.shape) !== String(expected))
      ctx.fail(`expected updates ${dtype}[${expected}], found ${updates.dtype}[${updates.shape}]`);
    const reduction = ctx.attrs.string("reduction");
    if (!["none", "add"].includes(reduction))
      ctx.fail(`expected the reduction none or add, found ${reduction}`);
    return [ctx.input(0)];
  },
  // dupdates[i..] = dy[indices[i..]]; dx = dy, but 0 at the places that are replaced (they must differ then)
  vjp: ({ b, dy, input, attrs, needs }) => {
    const zeros = (): Value => b.expand(b.scalar(0, dy.type.dtype), concreteShape(input(2).type.shape));
    const replaces = attrs.string("reduction") === "none";
    return [
      needs[0] ? (replaces ? b.emit("ScatterND", [dy, input(1), zeros()]) : dy) : undefined,
      undefined,
      needs[2] ? b.emit("GatherND", [dy, input(1)]) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const data = ctx.input(0).data.slice();
    const updates = ctx.input(2).data;
    const adds = ctx.attrs.string("reduction") === "add";
    const { starts, inner } = sliceStarts(ctx.input(0), ctx.input(1), 0);
    starts.forEach((start, i) => {
      for (let k = 0; k < inner; k++)
        data[start + k] = (adds ? data[start + k]! : 0) + updates[i * inner + k]!;
    });
    return outputWith(ctx, data);
  },
});

/** Indices that one tuple holds; E_SHAPE unless x has as many axes after the common ones. */
function tupleSize(ctx: InferContext, batch: number): number {
  const { dtype, shape } = ctx.input(1);
  const depth = shape.at(-1);
  if (dtype !== "int64" || typeof depth !== "number" || shape.length <= batch)
    return ctx.fail(`expected int64 indices whose last axis is known, found ${dtype}[${shape}]`);
  if (depth < 1 || batch + depth > ctx.input(0).shape.length)
    ctx.fail(`tuples of ${depth} indices do not fit [${ctx.input(0).shape}]`);
  return depth;
}

/** Tuples with the position on the common axes put before them, as ScatterND wants them. */
function withBatchPlaces(b: GraphBuilder, indices: Value, batch: number): Value {
  if (batch === 0) return indices;
  const shape = concreteShape(indices.type.shape);
  const places = range(batch).map((axis) => {
    const sizes = shape.map((_, k) => (k === axis ? shape[axis]! : 1));
    const data = Float64Array.from(range(shape[axis]!));
    return b.expand(b.constant({ dtype: "int64", shape: sizes, data }), shape.with(-1, 1));
  });
  return b.emit("Concat", [...places, indices], { axis: shape.length - 1 });
}

/** Where the slice of each tuple begins in x, and how many elements it has. */
function sliceStarts(
  x: NDArray,
  indices: NDArray,
  batch: number,
): { readonly starts: readonly number[]; readonly inner: number } {
  const depth = indices.shape.at(-1)!;
  const strides = stridesOf(x.shape);
  const tuples = indices.data.length / depth;
  const perBatch = tuples / elementCount(indices.shape.slice(0, batch));
  const batchSize = elementCount(x.shape.slice(batch));
  const starts = range(tuples).map((i) =>
    range(depth).reduce(
      (sum, k) => {
        const size = x.shape[batch + k]!;
        const index = indices.data[i * depth + k]!;
        if (index < -size || index >= size)
          invalid(`expected an index into ${size} elements, found ${index}`);
        return sum + (index < 0 ? index + size : index) * strides[batch + k]!;
      },
      Math.floor(i / perBatch) * batchSize,
    ),
  );
  return { starts, inner: elementCount(x.shape.slice(batch + depth)) };
}

function invalid(message: string): never {
  throw new MttcError({ code: "E_SHAPE", message });
}

/** Ops of this family. */
export const GATHER_SCATTER_ND: readonly Op[] = [GatherND, ScatterND];
