// Resize: images of another size by nearest pixels, linear or cubic interpolation. Each resized axis is a
// product with a constant matrix (interpolation.ts), so the derivative is one with its transpose.
import type { GraphBuilder } from "../ir/builder.ts";
import { type AttrReader, defineOp, type EvaluateContext, type NDArray, type Op } from "../ir/op.ts";
import { concreteDim, type Shape, type Value } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes, sizesOr } from "./axes.ts";
import { expectKind } from "./elementwise.ts";
import {
  type AxisResize,
  COORDINATES,
  type Interpolation,
  interpolationMatrix,
  NEAREST,
} from "./interpolation.ts";
import { stridesOf, viewOffsets } from "./strided.ts";

/** One axis that changes; `axis` counts from the front. */
type ResizedAxis = AxisResize & { readonly axis: number };

const Resize = defineOp("Resize", {
  doc: "y = x in other sizes, by `scales` or `sizes` (constant); nearest, linear, cubic; no antialias, no roi",
  source: "ONNX Resize-18",
  inputs: ["x", "roi?", "scales?", "sizes?"],
  attrs: {
    antialias: { kind: "int", default: 0 },
    axes: { kind: "ints", default: null },
    coordinate_transformation_mode: { kind: "string", default: "half_pixel" },
    cubic_coeff_a: { kind: "float", default: -0.75 },
    exclude_outside: { kind: "int", default: 0 },
    extrapolation_value: { kind: "float", default: 0 },
    keep_aspect_ratio_policy: { kind: "string", default: "stretch" },
    mode: { kind: "string", default: "nearest" },
    nearest_mode: { kind: "string", default: "round_prefer_floor" },
  },
  axes: "stops",
  precision: "float32",
  hostInputs: [1, 2, 3],
  infer: (ctx) => {
    const x = ctx.input(0);
    expectKind(ctx, x, "float");
    const oneOf = (name: string, known: readonly string[]): void => {
      const found = ctx.attrs.string(name);
      if (!known.includes(found)) ctx.fail(`expected ${name} of ${known.join(", ")}, found ${found}`);
    };
    oneOf("mode", ["nearest", "linear", "cubic"]);
    oneOf("coordinate_transformation_mode", COORDINATES);
    oneOf("nearest_mode", NEAREST);
    oneOf("keep_aspect_ratio_policy", ["stretch"]);
    if (ctx.attrs.int("antialias") !== 0) ctx.fail("expected antialias 0, found 1");
    const given = [2, 3].map((i) =>
      ctx.inputs[i]?.shape[0] === 0 ? undefined : ctx.inputs[i] && ctx.constant(i),
    );
    if (Boolean(given[0]) === Boolean(given[1])) ctx.fail("expected either scales or sizes");
    const resized = [...x.shape];
    for (const { axis, to } of resizedAxes(x.shape, given, ctx.attrs, ctx.fail)) resized[axis] = to;
    return [{ dtype: x.dtype, shape: resized }];
  },
  // dx = M^T dy along each axis, and 0 for the region, which no mode reads
  vjp: ({ b, dy, input, inputs, attrs }) => {
    const given = inputs.slice(2).map((value) => constantNumbers(b, value));
    let dx = dy;
    for (const each of resizedAxes(input(0).type.shape, given, attrs))
      dx = multiplyTransposed(b, dx, each, interpolationMatrix(each, howOf(attrs)));
    return [dx, undefined];
  },
  evaluate: evaluateResize,
});

function howOf(attrs: AttrReader): Interpolation {
  return {
    mode: attrs.string("mode"),
    coordinates: attrs.string("coordinate_transformation_mode"),
    nearest: attrs.string("nearest_mode"),
    cubicA: attrs.float("cubic_coeff_a"),
    excludeOutside: attrs.int("exclude_outside") === 1,
  };
}

/** The axes whose size or scale changes; an empty list of scales or sizes counts as none. */
function resizedAxes(
  shape: Shape,
  given: readonly (readonly number[] | undefined)[],
  attrs: AttrReader,
  fail?: (message: string) => never,
): ResizedAxis[] {
  const [scales, sizes] = given.map((list) => (list?.length === 0 ? undefined : list));
  const listed = attrs.has("axes") ? attrs.ints("axes") : range(shape.length);
  const axes = resolveAxes(listed, shape.length, fail);
  const count = (scales ?? sizes)?.length;
  if (count !== axes.length) fail?.(`expected ${axes.length} scales or sizes, found ${count}`);
  return axes.flatMap((axis, i) => {
    const scale = scales?.[i];
    if (scale === 1) return [];
    const dim = shape[axis]!;
    // A batch of unknown size may stay as it is only by a scale: sizes would have to name it.
    const from =
      typeof dim === "string" && fail
        ? fail(`expected a known size at axis ${axis}, found ${dim}`)
        : concreteDim(dim);
    // As ONNX Runtime computes it, in float32: 5 by 1.4, which is a little less in float32, is 7.
    const to = sizes?.[i] ?? Math.floor(Math.fround(from * (scale ?? 1)));
    if (!(to >= 1)) fail?.(`nothing would be left of axis ${axis}`);
    return to === from && scale === undefined ? [] : [{ axis, from, to, scale: scale ?? to / from }];
  });
}

/** M^T along one axis of dy; where M repeats each pixel equally often, a sum over the repeats. */
function multiplyTransposed(
  b: GraphBuilder,
  dy: Value,
  { axis, from, to }: ResizedAxis,
  matrix: Float64Array,
): Value {
  const shape = sizesOr(dy.type.shape, -1);
  const times = to / from;
  if (Number.isInteger(times) && matrix.every((weight, at) => weight === (repeats(at, from, times) ? 1 : 0)))
    return b.reduceSum(b.reshape(dy, shape.toSpliced(axis, 1, from, times)), [axis + 1], 0);
  const last = axis === shape.length - 1;
  // From the left for any axis but the last: [from, to] by [.., to, inner].
  const data = last ? matrix : matrix.map((_, at) => matrix[(at % to) * from + Math.floor(at / to)]!);
  const weights = b.constant({ dtype: dy.type.dtype, shape: last ? [to, from] : [from, to], data });
  if (last) return b.emit("MatMul", [dy, weights]);
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  const stacked = b.reshape(dy, [...shape.slice(0, axis), to, inner]);
  return b.reshape(b.emit("MatMul", [weights, stacked]), shape.with(axis, from));
}

/** Whether the element `at` of [to, from] lies where target pixel p shows source pixel p / times. */
function repeats(at: number, from: number, times: number): boolean {
  return Math.floor(Math.floor(at / from) / times) === at % from;
}

function evaluateResize(ctx: EvaluateContext): readonly NDArray[] {
  const given = [2, 3].map((i) => ctx.inputs[i] && Array.from(ctx.inputs[i].data));
  let y = ctx.input(0);
  for (const each of resizedAxes(y.shape, given, ctx.attrs)) {
    const { axis, from, to } = each;
    const matrix = interpolationMatrix(each, howOf(ctx.attrs));
    const shape = y.shape.with(axis, to);
    const [step, outStep] = [stridesOf(y.shape)[axis]!, stridesOf(shape)[axis]!];
    const lanes = viewOffsets(y.shape.with(axis, 1), stridesOf(y.shape));
    const data = new Float64Array(shape.reduce((product, size) => product * size, 1));
    viewOffsets(shape.with(axis, 1), stridesOf(shape)).forEach((into, lane) => {
      for (let p = 0; p < to; p++)
        for (let k = 0; k < from; k++)
          data[into + p * outStep]! += matrix[p * from + k]! * y.data[lanes[lane]! + k * step]!;
    });
    y = { ...y, shape, data };
  }
  return [y];
}

/** Ops of this family. */
export const RESIZING: readonly Op[] = [Resize];
