// The transpose of a 2-D convolution: what upsampling networks learn, and one spelling of Conv's own
// gradient. Letters as for the convolution that it transposes: x [N,C,P,Q] takes the place of that one's
// output.
import { defineOp } from "../ir/op.ts";
import { concreteShape } from "../ir/types.ts";
import {
  CONV_ATTRS,
  convAttrs,
  convGeometry,
  emitConvWeightGrad,
  spreadThroughFilters,
} from "./convolutionGeometry.ts";
import { TRANSPOSED_CONVOLUTION_FORMS } from "./inputGradientCuda.ts";
import { floatType, imageDims, readWindow, type SlidingWindow, windowExtent } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

/** y[n,m,h,w] = B[m] + sum over c, p, r of W[c,m,r,s] x[n,c,p,q] with h = p stride + r dilation - pad. */
export const ConvTranspose = defineOp("ConvTranspose", {
  doc: "transpose of the convolution with filters w [C,M/group,R,S]: x [N,C,P,Q] -> y [N,M,H,W]; explicit pads",
  source: "ONNX ConvTranspose-11",
  inputs: ["x", "w", "bias?"],
  attrs: {
    ...CONV_ATTRS,
    kernel_shape: { kind: "ints", default: null },
    output_padding: { kind: "ints", default: [0, 0] },
  },
  traits: ["convolves"],
  axes: "stops",
  precision: "halves",
  // as of the convolution whose adjoint it is
  flops: ({ inputs }, size) => 2 * size(inputs[0]) * size(inputs[1]?.type.shape.slice(1)),
  infer: (ctx) => {
    const [n, c, p, q] = imageDims(ctx, 0);
    const [k, m, r, s] = imageDims(ctx, 1);
    const group = ctx.attrs.int("group");
    if (k !== c || c % group !== 0) ctx.fail(`x has ${c} channels, the filters take ${k} in ${group} groups`);
    if (ctx.inputs[2] && String(ctx.inputs[2].shape) !== String(m * group))
      ctx.fail(`bias is [${ctx.inputs[2].shape}] for ${m * group} channels`);
    const { rows, columns } = readWindow(ctx.attrs, [r, s]);
    const more = ctx.attrs.ints("output_padding");
    // ONNX Runtime refuses these too: the convolution that is transposed would have further pixels.
    if ((more[0] ?? 0) >= rows.stride || (more[1] ?? 0) >= columns.stride)
      ctx.fail(
        `expected output padding below the strides [${rows.stride},${columns.stride}], found [${more}]`,
      );
    const size = (axis: SlidingWindow["rows"], count: number, extra = 0): number =>
      (count - 1) * axis.stride + windowExtent(axis) + extra - axis.padBegin - axis.padEnd;
    const [height, width] = [size(rows, p, more[0]), size(columns, q, more[1])];
    if (height < 1 || width < 1) ctx.fail(`pads [${ctx.attrs.ints("pads")}] leave nothing of the image`);
    return [floatType(ctx, [n, m * group, height, width], [0, 1, 2])];
  },
  // dx = Conv(dy, w); dw = ConvWeightGrad(dy, x): the two images change places; dB[m] = sum of dy over n,
  // h, w
  vjp: ({ b, dy, attrs, needs, input }) => {
    const [x, w] = [input(0), input(1)];
    const window = convAttrs(attrs);
    return [
      needs[0] ? b.emit("Conv", [dy, w], window) : undefined,
      needs[1] ? emitConvWeightGrad(b, dy, x, window, concreteShape(w.type.shape)) : undefined,
      needs[2] ? b.reduceSum(dy, [0, 2, 3], 0) : undefined,
    ];
  },
  evaluate: (ctx) => {
    const y = zerosForOutput(ctx, 0);
    const [x, w, bias] = [ctx.input(0), ctx.input(1), ctx.inputs[2]];
    const [, m = 1, height = 1, width = 1] = y.shape;
    if (bias)
      for (let i = 0; i < y.data.length; i++) y.data[i] = bias.data[Math.floor(i / (height * width)) % m]!;
    spreadThroughFilters(convGeometry(ctx.attrs, y.shape, w.shape, x.shape), y, w, x);
    return [y];
  },
  lower: TRANSPOSED_CONVOLUTION_FORMS,
});
