// Spellings of ConvInputGrad in standard ONNX operators. Both hold for all strides, dilations and groups that
// their comments allow; lower/cpu.ts chooses by shape; those for CUDA stand in inputGradientCuda.ts.
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import { concreteShape } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { BLOCKED_INPUT_GRADIENT_FORMS } from "./blockedForms.ts";
import { convAttrs } from "./convolutionGeometry.ts";
import { INPUT_GRADIENT_CUDA_FORMS } from "./inputGradientCuda.ts";
import {
  flippedPads,
  readWindow,
  type SlidingWindow,
  type WindowAxis,
  windowExtent,
} from "./slidingWindow.ts";

function windowOf(ctx: LowerContext): SlidingWindow {
  const [, , r = 1, s = 1] = concreteShape(ctx.input(1).type.shape);
  return readWindow(ctx.attrs, [r, s]);
}

/**
 * dx = Conv of dy with the filters' input and output channels exchanged (within each group) and their taps
 * reversed, padded by extent - 1 - pad. For stride 1 and pads below the window's extent.
 */
const flippedConv: Lowering = (ctx) => {
  const { b } = ctx;
  const [k = 1, channels = 1, r = 1, s = 1] = concreteShape(ctx.input(1).type.shape);
  const group = ctx.attrs.int("group");
  const grouped = b.reshape(ctx.input(1), [group, k / group, channels, r * s]);
  const exchanged = b.transpose(grouped, [0, 2, 1, 3]);
  const taps = Array.from({ length: r * s }, (_, tap) => r * s - 1 - tap);
  const reversed = taps.length > 1 ? b.emit("Gather", [exchanged, b.ints(taps)], { axis: 3 }) : exchanged;
  const filters = b.reshape(reversed, [group * channels, k / group, r, s]);
  return [
    b.emit("Conv", [ctx.input(0), filters], {
      strides: [1, 1],
      pads: flippedPads(windowOf(ctx)),
      dilations: ctx.attrs.ints("dilations"),
      group,
    }),
  ];
};

/** dx = ConvTranspose(dy, w); output_padding gives back the pixels at the end that no window reached. */
const convTranspose: Lowering = (ctx) => {
  const { rows, columns } = windowOf(ctx);
  const [, , height = 1, width = 1] = ctx.attrs.ints("input_shape");
  const rest = (axis: WindowAxis, size: number): number =>
    (size + axis.padBegin + axis.padEnd - windowExtent(axis)) % axis.stride;
  return [
    ctx.b.emit("ConvTranspose", [ctx.input(0), ctx.input(1)], {
      ...convAttrs(ctx.attrs),
      output_padding: [rest(rows, height), rest(columns, width)],
    }),
  ];
};

/**
 * dx [C, P Q] = w [K,C]^T dy [K, P Q] for each image: a 1x1 convolution without strides, pads and groups.
 * ONNX Runtime multiplies by the transposed filters where they stand.
 */
const pointwiseStack: Lowering = (ctx) => {
  const { b } = ctx;
  const [n = 1, k = 1, p = 1, q = 1] = sizesOr(ctx.input(0).type.shape, -1);
  const [, c = 1] = concreteShape(ctx.input(1).type.shape);
  const pixels = b.reshape(ctx.input(0), [n, k, p * q]);
  const exchanged = b.transpose(b.reshape(ctx.input(1), [k, c]), [1, 0]);
  return [b.reshape(b.emit("MatMul", [exchanged, pixels]), [n, c, p, q])];
};

/** Forms of ConvInputGrad by name. */
export const INPUT_GRADIENT_FORMS = {
  flippedConv,
  convTranspose,
  pointwiseStack,
  ...BLOCKED_INPUT_GRADIENT_FORMS,
  ...INPUT_GRADIENT_CUDA_FORMS,
} as const satisfies Forms;
