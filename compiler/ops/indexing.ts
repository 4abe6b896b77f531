// Ops that pick elements: by ranges (Slice, constant) or by indices that are values of the graph (Gather, Scatter).
// Negative indices count from the end.
import { InternalError, MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteShape, type Dim, elementCount, isFloat, type Shape, type Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes, resolveAxis } from "./axes.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets, zerosForOutput } from "./strided.ts";

/** What Slice takes of one axis: `size` elements from `start` on, `step` apart. */
interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly size: Dim;
}

const Slice = defineOp("Slice", {
  doc: "y = the elements of x from starts to before ends, steps apart (all constant); negative steps go backwards",
  source: "ONNX Slice-13",
  inputs: ["x", "starts", "ends", "axes?", "steps?"],
  traits: ["movesData"],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const [starts, ends] = [ctx.constant(1), ctx.constant(2)];
    const axes = ctx.inputs[3] ? ctx.constant(3) : undefined;
    const steps = ctx.inputs[4] ? ctx.constant(4) : undefined;
    const sliced = [...shape];
    for (const { axis, size } of sliceRanges(shape, { starts, ends, axes, steps }, ctx.fail))
      sliced[axis] = size;
    return [{ dtype, shape: sliced }];
  },
  // dx = dy at the places it was taken from, else 0. For step 1 that is a Pad; for others, a zero is appended to dy and
  // each place of x reads its element of dy or that zero.
  vjp: ({ b, dy, input, inputs }) => {
    const { shape } = input(0).type;
    const [starts = [], ends = [], axes, steps] = inputs.slice(1).map((each) => constantNumbers(b, each));
    let dx = dy;
    for (const each of sliceRanges(shape, { starts, ends, axes, steps })) dx = unslice(b, dx, each, shape);
    return [dx];
  },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const [starts = [], ends = [], axes, steps] = ctx.inputs
      .slice(1)
      .map((each) => each && Array.from(each.data));
    const strides = stridesOf(x.shape);
    const sizes = [...x.shape];
    const stepped = [...strides];
    let first = 0;
    for (const { axis, start, step, size } of sliceRanges(x.shape, { starts, ends, axes, steps })) {
      first += start * strides[axis]!;
      stepped[axis] = step * strides[axis]!;
      sizes[axis] = Number(size);
    }
    return outputWith(ctx, takeOffsets(x.data, viewOffsets(sizes, stepped, first)));
  },
});

interface SliceOperands {
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly axes: readonly number[] | undefined;
  readonly steps: readonly number[] | undefined;
}

/** ONNX's rules: negative bounds count from the end, then all are clamped to the axis. A symbol is taken whole only. */
function sliceRanges(shape: Shape, operands: SliceOperands, fail = invalid): SliceRange[] {
  const { starts, ends } = operands;
  const axes = resolveAxes(operands.axes ?? range(starts.length), shape.length, fail);
  const steps = operands.steps ?? starts.map(() => 1);
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length)
    fail("expected as many starts as ends, axes and steps");
  return axes.map((axis, i): SliceRange => {
    const [start, end, step, dim] = [starts[i]!, ends[i]!, steps[i]!, shape[axis]!];
    if (step === 0) fail("expected a step, found 0");
    if (typeof dim === "string") {
      if (start !== 0 || step !== 1 || end < 2 ** 31 - 1)
        fail(`expected all of axis ${axis}, whose size is ${dim}, found [${start}, ${end}) by ${step}`);
      return { axis, start, step, size: dim };
    }
    const clamp = (bound: number, low: number, high: number): number =>
      Math.min(Math.max(bound < 0 ? bound + dim : bound, low), high);
    const first = step > 0 ? clamp(start, 0, dim) : clamp(start, 0, dim - 1);
    const last = step > 0 ? clamp(end, 0, dim) : clamp(end, -1, dim - 1);
    return { axis, start: first, step, size: Math.max(0, Math.ceil((last - first) / step)) };
  });
}

function unslice(b: GraphBuilder, dy: Value, slice: SliceRange, shape: Shape): Value {
  const { axis, start, step } = slice;
  const whole = shape[axis]!;
  const size = Number(slice.size);
  if (slice.size === whole && step === 1) return dy;
  if (step === 1) return padAxis(b, dy, axis, start, Number(whole) - start - size);
  const sources = range(Number(whole)).map((place) => {
    const source = (place - start) / step;
    return Number.isInteger(source) && source >= 0 && source < size ? source : size;
  });
  return b.emit("Gather", [padAxis(b, dy, axis, 0, 1), b.ints(sources)], { axis });
}

function padAxis(b: GraphBuilder, x: Value, axis: number, before: number, after: number): Value {
  const pads = x.type.shape.map(() => [0, 0]);
  pads[axis] = [before, after];
  return b.emit("Pad", [x, b.ints([...pads.map((pad) => pad[0]!), ...pads.map((pad) => pad[1]!)])]);
}

const AXIS = { kind: "int", default: 0 } as const;

const Gather = defineOp("Gather", {
  doc: "y[.., i, ..] = x[.., indices[i], ..] at `axis`; the indices (int32, int64) may have any shape",
  source: "ONNX Gather-13",
  inputs: ["x", "indices"],
  attrs: { axis: AXIS },
  traits: ["movesData"],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    expectIndices(ctx);
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length, ctx.fail);
    return [{ dtype, shape: shape.toSpliced(axis, 1, ...ctx.input(1).shape) }];
  },
  // dx[.., k, ..] = sum of dy[.., i, ..] over all i with indices[i] = k
  vjp: ({ b, dy, input, attrs }) => {
    const x = concreteShape(input(0).type.shape);
    const axis = resolveAxis(attrs.int("axis"), x.length);
    const count = elementCount(input(1).type.shape);
    const picked = x.with(axis, count);
    const column = b.reshape(
      input(1),
      x.map((_, i) => (i === axis ? count : 1)),
    );
    const indices = b.expand(column, picked);
    return [scatterAdd(b, input(0), indices, b.reshape(dy, picked), axis), undefined];
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
  // dupdates[i, j] = dy[indices[i, j], j]; dx = dy, but 0 at the indices where they replace (they must differ then)
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
  const zeros = b.expand(b.scalar(0, x.type.dtype), concreteShape(x.type.shape));
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
export const INDEXING: readonly Op[] = [Slice, Gather, GatherElements, ScatterElements];
