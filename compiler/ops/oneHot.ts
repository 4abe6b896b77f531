// OneHot and NonZero: from indices to marks of them, and back.
import { defineOp, type Op, type VjpContext } from "../ir/op.ts";
import { elementCount, type Value } from "../ir/types.ts";
import { range, resolveAxis } from "./axes.ts";
import { outputWith, stridesOf, zerosForOutput } from "./strided.ts";

const OneHot = defineOp("OneHot", {
  doc: "y = values[1] where the new axis of size depth (constant) is at the index, else values[0]",
  source: "ONNX OneHot-11",
  inputs: ["indices", "depth", "values"],
  attrs: { axis: { kind: "int", default: -1 } },
  axes: "stops",
  precision: "float32",
  hostInputs: [1, 2],
  infer: (ctx) => {
    const { dtype, shape } = ctx.input(0);
    const values = ctx.input(2);
    if (dtype !== "int64" && dtype !== "int32") ctx.fail(`expected integer indices, found ${dtype}`);
    if (String(values.shape) !== "2") ctx.fail(`expected two values, found [${values.shape}]`);
    const [depth = 0] = ctx.constant(1);
    if (!(depth >= 1)) ctx.fail(`expected a depth of 1 or more, found ${depth}`);
    const axis = resolveAxis(ctx.attrs.int("axis"), shape.length + 1, ctx.fail);
    return [{ dtype: values.dtype, shape: shape.toSpliced(axis, 0, depth) }];
  },
  // dvalues = [sum of dy where cold, sum of dy where hot]
  vjp: differentiateOneHot,
  evaluate: (ctx) => {
    const [indices, values, y] = [ctx.input(0), ctx.input(2), zerosForOutput(ctx)];
    const axis = resolveAxis(ctx.attrs.int("axis"), y.shape.length);
    const [depth, inner] = [y.shape[axis]!, elementCount(y.shape.slice(axis + 1))];
    const data = y.data.map((_, i) => {
      const index = indices.data[Math.floor(i / (inner * depth)) * inner + (i % inner)]!;
      const isHot = (index < 0 ? index + depth : index) === Math.floor(i / inner) % depth;
      return values.data[isHot ? 1 : 0]!;
    });
    return outputWith(ctx, data);
  },
});

const NonZero = defineOp("NonZero", {
  doc: "indices int64 [rank, count] of the elements of x that are not 0, in their order; the count is known at run time",
  source: "ONNX NonZero-13",
  inputs: ["x"],
  axes: "stops",
  precision: "float32",
  infer: (ctx) => [{ dtype: "int64", shape: [ctx.input(0).shape.length, "nonzero"] }],
  vjp: { notDifferentiable: "its results are indices", isZero: true },
  evaluate: (ctx) => {
    const x = ctx.input(0);
    const strides = stridesOf(x.shape);
    const places = range(x.data.length).filter((i) => x.data[i] !== 0);
    const data = strides.flatMap((stride, axis) =>
      places.map((place) => Math.floor(place / stride) % x.shape[axis]!),
    );
    const shape = [x.shape.length, places.length];
    return [{ dtype: "int64", shape, data: Float64Array.from(data) }];
  },
});

function differentiateOneHot({ b, dy, input, attrs }: VjpContext): readonly (Value | undefined)[] {
  const { dtype } = dy.type;
  const units = b.constant({ dtype, shape: [2], data: Float64Array.of(0, 1) });
  const hot = b.emit("OneHot", [input(0), input(1), units], { axis: attrs.int("axis") });
  const axes = range(dy.type.shape.length);
  const byHot = b.reduceSum(b.mul(dy, hot), axes, 0);
  const byCold = b.sub(b.reduceSum(dy, axes, 0), byHot);
  const both = [byCold, byHot].map((sum) => b.reshape(sum, [1]));
  return [undefined, undefined, b.emit("Concat", both, { axis: 0 })];
}

/** Ops of this family. */
export const INDEX_MARKS: readonly Op[] = [OneHot, NonZero];
