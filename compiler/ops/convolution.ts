// 2-D convolution, with strides, explicit pads, dilations and groups. Their derivatives are
// own operators (convolutionGradients.ts), because no single spelling of them in ONNX is fastest for all
// shapes.
import { defineOp, type InferContext } from "../ir/op.ts";
import { concreteShape, type TensorType } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { BLOCKED_CONV_FORMS } from "./blockedForms.ts";
import {
  CONV_ATTRS,
  convAttrs,
  convolved,
  emitConvInputGrad,
  emitConvWeightGrad,
} from "./convolutionGeometry.ts";
import { POINTWISE_FORMS } from "./pointwiseForms.ts";
import { floatType, imageDims, outputSize, readWindow } from "./slidingWindow.ts";

/** y[n,k,p,q] = B[k] + sum over c, r, s of W[k,c,r,s] x[n,c, p stride + r dilation - pad, ...]. */
export const Conv = defineOp("Conv", {
  doc: "2-D convolution of x [N,C,H,W] with filters w [K,C/group,R,S] and bias [K]; explicit pads",
  source: "ONNX Conv-11",
  inputs: ["x", "w", "bias?"],
  attrs: { ...CONV_ATTRS, kernel_shape: { kind: "ints", default: null } },
  traits: ["convolves"],
  axes: "stops",
  precision: "halves",
  // of filters [K,C/group,R,S] each output reads C/group * R * S numbers
  flops: ({ inputs, outputs }, size) => 2 * size(outputs[0]) * size(inputs[1]?.type.shape.slice(1)),
  infer: inferConv,
  // dx = ConvInputGrad(dy, w);  dw = ConvWeightGrad(x, dy);  dB[k] = sum over n, p, q of dy[n,k,p,q]
  vjp: ({ b, attrs, needs, input, dy }) => {
    const [x, w] = [input(0), input(1)];
    return [
      needs[0] ? emitConvInputGrad(b, dy, w, convAttrs(attrs), sizesOr(x.type.shape, 0)) : undefined,
      needs[1] ? emitConvWeightGrad(b, x, dy, convAttrs(attrs), concreteShape(w.type.shape)) : undefined,
      needs[2] ? b.reduceSum(dy, [0, 2, 3], 0) : undefined,
    ];
  },
  evaluate: (ctx) => [convolved(ctx, ctx.input(0).data, ctx.input(1).data)],
  lower: { ...POINTWISE_FORMS, ...BLOCKED_CONV_FORMS },
});

function inferConv(ctx: InferContext): readonly TensorType[] {
  const [n, c, height, width] = imageDims(ctx, 0);
  const [k, channels, r, s] = imageDims(ctx, 1);
  const group = ctx.attrs.int("group");
  if (typeof k !== "number" || channels * group !== c || k % group !== 0)
    return ctx.fail(`filters [${ctx.input(1).shape}] in ${group} groups do not fit ${c} channels`);
  if (ctx.attrs.has("kernel_shape") && String(ctx.attrs.ints("kernel_shape")) !== String([r, s]))
    ctx.fail(`kernel_shape is [${ctx.attrs.ints("kernel_shape")}], the filters are ${r}x${s}`);
  if (ctx.inputs[2] && String(ctx.inputs[2].shape) !== String(k))
    ctx.fail(`bias is [${ctx.inputs[2].shape}] for ${k} filters`);
  const [p, q] = outputSize(ctx, readWindow(ctx.attrs, [r, s]), height, width);
  return [floatType(ctx, [n, k, p, q], [0, 1, 2])];
}
