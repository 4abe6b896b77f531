// Slice: ranges of elements, with bounds and steps that are constants of the graph. Its derivative is a Pad,
// or, where elements are left out between others, a Gather that reads zeros for them.
import { MttcError } from "../diagnostics.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type Op } from "../ir/op.ts";
import type { Dim, Shape, Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes } from "./axes.ts";
import { outputWith, stridesOf, takeOffsets, viewOffsets } from "./strided.ts";

/** What Slice takes of one axis: `size` elements from `start` on, `step` apart. */
interface SliceRange {
  readonly axis: number;
  readonly start: number;
  readonly step: number;
  readonly size: Dim;
}

const Slice = defineOp("Slice", {
  doc: "y = elements of x from starts to before ends, steps apart (all constant); negative steps go back",
  source: "ONNX Slice-13",
  inputs: ["x", "starts", "ends", "axes?", "steps?"],
  traits: ["movesData"],
  axes: "slices",
  precision: "follows",
  hostInputs: [1, 2, 3, 4],
  identity: "typeKeptUnstepped",
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
  // dx = dy at the places it was taken from, else 0. For step 1 that is a Pad; for others, a zero is appended
  // to dy and each place of x reads its element of dy or that zero.
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

/**
 * ONNX's rules: negative bounds count from the end, then all are clamped to the axis. A symbol is taken whole
 * only.
 */
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

function invalid(message: string): never {
  throw new MttcError({ code: "E_SHAPE", message });
}

/** Ops of this family. */
export const SLICING: readonly Op[] = [Slice];
