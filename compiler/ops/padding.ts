// Pad: elements around each axis, by constants, reflection or repetition of the edge. Negative pads crop, and
// crop before anything is added.
import type { GraphBuilder } from "../ir/builder.ts";
import { defineOp, type EvaluateContext, type InferContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteDim, type Shape, type TensorType, type Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes } from "./axes.ts";
import { stridesOf, zerosForOutput } from "./strided.ts";

const MODES: readonly string[] = ["constant", "reflect", "edge"];

/** What Pad does to one axis: `before` and `after` elements are added, or, below 0, cropped. */
interface AxisPad {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

const Pad = defineOp("Pad", {
  doc: "y = x with `pads` (constant) elements around each axis: of one value, reflected, or of the edge",
  source: "ONNX Pad-18",
  inputs: ["x", "pads", "value?", "axes?"],
  attrs: { mode: { kind: "string", default: "constant" } },
  traits: ["movesData"],
  axes: "pads",
  precision: "follows",
  hostInputs: [1, 2, 3],
  identity: "typeKept",
  infer: inferPad,
  // dx = the slice of dy that x became, and what was added from x added to where it came from
  vjp: ({ b, dy, input, inputs, attrs }) => {
    const { shape } = input(0).type;
    const pads = axisPads(constantNumbers(b, inputs[1]) ?? [], constantNumbers(b, inputs[3]), shape.length);
    let dx = dy;
    for (const pad of pads.filter(({ before, after }) => before !== 0 || after !== 0))
      dx = unpadAxis(b, dx, pad, { size: concreteDim(shape[pad.axis]), mode: attrs.string("mode") });
    return [dx];
  },
  evaluate: evaluatePad,
});

function axisPads(
  pads: readonly number[],
  listed: readonly number[] | undefined,
  rank: number,
  fail?: (message: string) => never,
): AxisPad[] {
  const axes = listed ? resolveAxes(listed, rank, fail) : range(rank);
  if (fail && pads.length !== 2 * axes.length) fail(`expected ${2 * axes.length} pads, found [${pads}]`);
  return axes.map((axis, i) => ({ axis, before: pads[i]!, after: pads[i + axes.length]! }));
}

function inferPad(ctx: InferContext): readonly TensorType[] {
  const { dtype, shape } = ctx.input(0);
  const mode = ctx.attrs.string("mode");
  if (!MODES.includes(mode)) ctx.fail(`expected a mode of ${MODES.join(", ")}, found "${mode}"`);
  if (ctx.inputs[2]) ctx.constant(2);
  const listed = ctx.inputs[3] ? ctx.constant(3) : undefined;
  const padded = [...shape];
  for (const { axis, before, after } of axisPads(ctx.constant(1), listed, shape.length, ctx.fail)) {
    if (before === 0 && after === 0) continue;
    const size = concreteDim(shape[axis]);
    const kept = size + Math.min(before, 0) + Math.min(after, 0);
    if (kept < (mode === "constant" ? Math.min(size, 1) : 1))
      ctx.fail(`pads [${ctx.constant(1)}] crop more than there is of [${shape}]`);
    if (mode === "reflect" && Math.max(before, after) >= kept)
      ctx.fail(`expected pads below ${kept}, the size that is reflected, found [${ctx.constant(1)}]`);
    padded[axis] = size + before + after;
  }
  return [{ dtype, shape: padded }];
}

/** The adjoint along one axis, whose size was `size` before. */
function unpadAxis(
  b: GraphBuilder,
  dy: Value,
  { axis, before, after }: AxisPad,
  { size, mode }: { readonly size: number; readonly mode: string },
): Value {
  const [cropBefore, cropAfter] = [Math.max(-before, 0), Math.max(-after, 0)];
  const [front, back] = [Math.max(before, 0), Math.max(after, 0)];
  const kept = size - cropBefore - cropAfter;
  /** `part`, put at `at` of an axis of `whole` zeros. */
  const place = (part: Value, at: number, whole: number): Value => {
    const rest = whole - at - concreteDim(part.type.shape[axis]);
    if (at === 0 && rest === 0) return part;
    return b.emit("Pad", [part, b.ints([at, rest]), undefined, b.ints([axis])]);
  };
  /** Sum of a reflected or repeated edge's cotangents, from dy[from..from+count), first goal at `goal`. */
  const returned = (from: number, count: number, goal: number): Value => {
    const part = (): Value => b.slice(dy, [from], [from + count], [axis]);
    if (mode === "edge") return place(b.reduceSum(part(), [axis], 1), goal, kept);
    return place(
      b.slice(dy, [from + count - 1], [from - 1 - (front + kept + back)], [axis], [-1]),
      goal,
      kept,
    );
  };
  let inner = front + back === 0 ? dy : b.slice(dy, [front], [front + kept], [axis]);
  if (mode !== "constant") {
    if (front > 0) inner = b.add(inner, returned(0, front, mode === "edge" ? 0 : 1));
    if (back > 0)
      inner = b.add(inner, returned(front + kept, back, mode === "edge" ? kept - 1 : kept - 1 - back));
  }
  return place(inner, cropBefore, size);
}

function evaluatePad(ctx: EvaluateContext): readonly NDArray[] {
  const x = ctx.input(0);
  const y = zerosForOutput(ctx);
  const mode = ctx.attrs.string("mode");
  const listed = ctx.inputs[3] && Array.from(ctx.inputs[3].data);
  const pads = axisPads(Array.from(ctx.input(1).data), listed, x.shape.length);
  const strides = stridesOf(x.shape);
  // Offset into x by output position, axis by axis; NaN where a position lies outside of x.
  let offsets: readonly number[] = [0];
  y.shape.forEach((size, axis) => {
    const pad = pads.find((each) => each.axis === axis) ?? { axis, before: 0, after: 0 };
    const sources = range(size).map((at) => sourceOf(at, pad, x.shape[axis]!, mode) * strides[axis]!);
    offsets = offsets.flatMap((offset) => sources.map((source) => offset + source));
  });
  const value = ctx.inputs[2]?.data[0] ?? 0;
  return [{ ...y, data: y.data.map((_, i) => (Number.isNaN(offsets[i]!) ? value : x.data[offsets[i]!]!)) }];
}

/** Position along an axis of x that position `at` of y shows; NaN where it shows the constant. */
function sourceOf(at: number, { before, after }: AxisPad, size: number, mode: string): number {
  const first = Math.max(-before, 0);
  const last = size - 1 - Math.max(-after, 0);
  const place = at - before;
  if (place >= first && place <= last) return place;
  if (mode === "constant") return Number.NaN;
  if (mode === "edge") return place < first ? first : last;
  return place < first ? 2 * first - place : 2 * last - place;
}

const CenterCropPad = defineOp("CenterCropPad", {
  doc: "y = x in the sizes of `shape` (constant): cropped around the middle, or zeros around it",
  source: "ONNX CenterCropPad-18",
  inputs: ["x", "shape"],
  attrs: { axes: { kind: "ints", default: null } },
  traits: ["movesData"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const listed = ctx.attrs.has("axes") ? ctx.attrs.ints("axes") : undefined;
    const sizes = ctx.constant(1);
    const axes = resolveAxes(listed ?? range(shape.length), shape.length, ctx.fail);
    if (sizes.length !== axes.length || sizes.some((size) => size < 1))
      ctx.fail(`expected ${axes.length} sizes, found [${sizes}]`);
    const result = [...shape];
    axes.forEach((axis, i) => {
      concreteDim(shape[axis]);
      result[axis] = sizes[i]!;
    });
    return [{ dtype, shape: result }];
  },
  // dx = dy with what was cropped back as zeros, and without what was put around
  vjp: ({ b, dy, input, inputs, attrs }) => {
    const listed = attrs.has("axes") ? attrs.ints("axes") : undefined;
    const axes = resolveAxes(listed ?? range(input(0).type.shape.length), input(0).type.shape.length);
    const pads = centrePads(input(0).type.shape, axes, constantNumbers(b, inputs[1]) ?? []);
    const back = [...pads.map(([before]) => -before), ...pads.map(([, after]) => -after)];
    return [b.emit("Pad", [dy, b.ints(back), undefined, b.ints(axes)])];
  },
  evaluate: (ctx) => {
    const [x, y] = [ctx.input(0), zerosForOutput(ctx)];
    const pads = centrePads(x.shape, range(x.shape.length), y.shape);
    let offsets: readonly number[] = [0];
    y.shape.forEach((size, axis) => {
      const place = (at: number): number => {
        const source = at - pads[axis]![0];
        return source >= 0 && source < x.shape[axis]! ? source : Number.NaN;
      };
      offsets = offsets.flatMap((offset) => range(size).map((at) => offset * x.shape[axis]! + place(at)));
    });
    return [{ ...y, data: y.data.map((_, i) => x.data[offsets[i]!] ?? 0) }];
  },
});

/** Elements put before and after each axis; negative ones are cropped. */
function centrePads(
  shape: Shape,
  axes: readonly number[],
  sizes: readonly number[],
): readonly (readonly [before: number, after: number])[] {
  return axes.map((axis, i) => {
    const more = sizes[i]! - concreteDim(shape[axis]);
    const before = Math.sign(more) * Math.floor(Math.abs(more) / 2);
    return [before, more - before];
  });
}

/** Ops of this family. */
export const PADDING: readonly Op[] = [Pad, CenterCropPad];
