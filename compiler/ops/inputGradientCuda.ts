// Spellings of ConvInputGrad for CUDA, where a ConvTranspose with unequal pads falls back to the CPU: the
// pads of these are symmetric and what is over is cut off or added with zeros. lower/cuda.ts chooses by
// shape.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { convAttrs } from "./convolutionGeometry.ts";
import { readWindow, type WindowAxis, windowExtent } from "./slidingWindow.ts";

/**
 * How one axis of the transposed image is brought to its size: pad on both sides, extra pixels, cut or
 * fill.
 */
interface AxisPlan {
  /** Symmetric pad of the ConvTranspose. */
  readonly pad: number;
  readonly outputPadding: number;
  /** Pixels to cut off before. */
  readonly skip: number;
  readonly size: number;
  /** Pixels of zeros to add behind; no window reached them. */
  readonly missing: number;
}

/**
 * The plan of an axis whose image has `size` pixels, `over` of them behind the last window of the padded
 * image.
 */
type Planner = (axis: WindowAxis, size: number, over: number) => AxisPlan;

function axesOf(ctx: LowerContext): readonly WindowAxis[] {
  const [, , r = 1, s = 1] = concreteShape(ctx.input(1).type.shape);
  const { rows, columns } = readWindow(ctx.attrs, [r, s]);
  return [rows, columns];
}

/** Plans for a gradient: the image is the convolution's input. */
function gradientPlans(ctx: LowerContext, planOf: Planner): readonly AxisPlan[] {
  const [, , ...sizes] = ctx.attrs.ints("input_shape");
  return axesOf(ctx).map((axis, i) => {
    const size = sizes[i] ?? 1;
    const over = (size + axis.padBegin + axis.padEnd - windowExtent(axis)) % axis.stride;
    return planOf(axis, size, over);
  });
}

/**
 * The smaller of the two pads on both sides, so that little is cut, and output_padding for what is missing at
 * the end (below the stride, as ONNX asks).
 */
function paddedPlan(axis: WindowAxis, size: number, over: number): AxisPlan {
  const pad = Math.min(axis.padBegin, axis.padEnd);
  const outputPadding = Math.max(0, over - (axis.padEnd - pad));
  return { pad, outputPadding, skip: axis.padBegin - pad, size, missing: 0 };
}

/** No output_padding: a smaller pad, so that more is cut, and zeros where even that is too little. */
function slicedPlan(axis: WindowAxis, size: number, over: number): AxisPlan {
  const spare = axis.padEnd - over;
  const pad = Math.max(0, Math.min(axis.padBegin, spare));
  return { pad, outputPadding: 0, skip: axis.padBegin - pad, size, missing: Math.max(0, -spare) };
}

/** The ConvTranspose of the node's inputs, brought to size by `plans`. */
function transposeByPlans(ctx: LowerContext, plans: readonly AxisPlan[]): Value {
  const { b, attrs } = ctx;
  const pads = plans.map(({ pad }) => pad);
  const outputPadding = plans.map((plan) => plan.outputPadding);
  const image = b.emit("ConvTranspose", ctx.inputs, {
    ...convAttrs(attrs),
    pads: [...pads, ...pads],
    ...(outputPadding.some((extra) => extra > 0) ? { output_padding: outputPadding } : {}),
  });
  return fitImage(b, image, plans);
}

/** [N,C,h,w] cut, and filled up with zeros, to the sizes of the plans. */
function fitImage(b: GraphBuilder, image: Value, plans: readonly AxisPlan[]): Value {
  const starts = plans.map(({ skip }) => skip);
  const ends = plans.map(({ skip, size, missing }) => skip + size - missing);
  const [, , ...found] = concreteShape(image.type.shape);
  const isCut = plans.some((_, i) => starts[i] !== 0 || ends[i] !== found[i]);
  const cut = isCut ? b.slice(image, starts, ends, [2, 3]) : image;
  const missing = plans.map((plan) => plan.missing);
  if (missing.every((count) => count === 0)) return cut;
  return b.emit("Pad", [cut, b.ints([0, 0, 0, 0, 0, 0, ...missing])]);
}

/** ConvTranspose with symmetric pads and output_padding. For all shapes. */
const symmetricTranspose: Lowering = (ctx) => [transposeByPlans(ctx, gradientPlans(ctx, paddedPlan))];

/** ConvTranspose with symmetric pads and without output_padding. For all shapes. */
const slicedTranspose: Lowering = (ctx) => [transposeByPlans(ctx, gradientPlans(ctx, slicedPlan))];

/**
 * A 1x1 convolution without pads and groups: one product, the transpose of w [K,C] by dy [K, P Q] of each
 * image; with strides, zeros between the pixels.
 */
const pointwiseProduct: Lowering = (ctx) => {
  const { b } = ctx;
  const [n = 1, c = 1, height = 1, width = 1] = ctx.attrs.ints("input_shape");
  const [, k = 1, p = 1, q = 1] = concreteShape(ctx.input(0).type.shape);
  const [down = 1, right = 1] = ctx.attrs.ints("strides");
  const rows = b.reshape(ctx.input(0), [n, k, p * q]);
  const pixels = b.emit("FusedMatMul", [b.reshape(ctx.input(1), [k, c]), rows], { transA: 1 });
  if (down === 1 && right === 1) return [b.reshape(pixels, [n, c, height, width])];
  const apart = b.emit("Pad", [
    b.reshape(pixels, [n, c, p, 1, q, 1]),
    b.ints([0, 0, 0, 0, 0, 0, 0, 0, 0, down - 1, 0, right - 1]),
  ]);
  const image = b.reshape(apart, [n, c, p * down, q * right]);
  const plans = [height, width].map((size, i) => {
    const missing = Math.max(0, size - [p * down, q * right][i]!);
    return { pad: 0, outputPadding: 0, skip: 0, size, missing };
  });
  return [fitImage(b, image, plans)];
};

/** A ConvTranspose with unequal pads as one with equal pads and a cut. */
const symmetricPads: Lowering = (ctx) => {
  const [, , ...sizes] = concreteShape(ctx.outputs[0]!.type.shape);
  const more = ctx.attrs.ints("output_padding");
  const plans = axesOf(ctx).map((axis, i) => paddedPlan(axis, sizes[i] ?? 1, more[i] ?? 0));
  return [transposeByPlans(ctx, plans)];
};

/** Forms of ConvTranspose by name. */
export const TRANSPOSED_CONVOLUTION_FORMS = { symmetricPads } as const satisfies Forms;

/** Forms of ConvInputGrad by name. */
export const INPUT_GRADIENT_CUDA_FORMS = {
  symmetricTranspose,
  slicedTranspose,
  pointwiseProduct,
} as const satisfies Forms;
