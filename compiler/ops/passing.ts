// Ops of imported graphs that hand their input on: as it is, in another dtype, or its middle part.
import { defineOp, type Op } from "../ir/op.ts";
import { concreteDim, isFloat, type Shape } from "../ir/types.ts";
import { constantNumbers, range, resolveAxes } from "./axes.ts";
import { outputWith, zerosForOutput } from "./strided.ts";

const Dropout = defineOp("Dropout", {
  doc: "y = x, the inference form; the mask is true everywhere. The layer dropout of a spec drops in training",
  source: "ONNX Dropout-13",
  inputs: ["x", "ratio?", "training_mode?"],
  outputs: ["y", "mask?"],
  attrs: { seed: { kind: "int", default: null } },
  traits: ["elementwise"],
  infer: (ctx) => {
    if (ctx.inputs[2] && ctx.constants[2]?.data[0] !== 0)
      ctx.fail(
        "training_mode is not the constant false: an imported graph is taken in inference form, and what drops " +
          "in training is a layer of the spec; export the model with model.eval()",
      );
    return [ctx.input(0), { dtype: "bool", shape: ctx.input(0).shape }];
  },
  // dx = dy, and 0 for the ratio
  vjp: ({ dy }) => [dy, undefined],
  evaluate: (ctx) => {
    const mask = zerosForOutput(ctx, 1);
    return [ctx.input(0), { ...mask, data: mask.data.fill(1) }];
  },
});

const CastLike = defineOp("CastLike", {
  doc: "y = x in the dtype of the second input (floats only; Cast does the others)",
  source: "ONNX CastLike-15",
  inputs: ["x", "like"],
  infer: (ctx) => {
    const [x, like] = [ctx.input(0), ctx.input(1)];
    if (!isFloat(like.dtype)) ctx.fail(`expected a float tensor to be like, found ${like.dtype}`);
    return [{ dtype: like.dtype, shape: x.shape }];
  },
  // dx = dy in the dtype of x; 0 if that is not float, and for the second input
  vjp: ({ b, dy, input }) => {
    const { dtype } = input(0).type;
    return [isFloat(dtype) ? b.cast(dy, dtype) : undefined, undefined];
  },
  evaluate: (ctx) => outputWith(ctx, ctx.input(0).data),
});

const CenterCropPad = defineOp("CenterCropPad", {
  doc: "y = x in the sizes of `shape` (constant): cropped around the middle, or zeros around it",
  source: "ONNX CenterCropPad-18",
  inputs: ["x", "shape"],
  attrs: { axes: { kind: "ints", default: null } },
  traits: ["movesData"],
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
export const PASSING: readonly Op[] = [Dropout, CastLike, CenterCropPad];
