// The two derivatives of Conv as operators of our own: what they compute stands here, how each is spelled in
// standard ONNX in inputGradientForms.ts and weightGradientForms.ts; lower/cpu.ts chooses by shape.
import { defineOp, notDifferentiable } from "../ir/op.ts";
import { CONV_ATTRS, convGeometry, spreadThroughFilters, visitConvRuns } from "./convolutionGeometry.ts";
import { INPUT_GRADIENT_FORMS } from "./inputGradientForms.ts";
import { floatType, imageDims, outputSize, readWindow } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";
import { WEIGHT_GRADIENT_FORMS } from "./weightGradientForms.ts";

/** dx[n,c,h,w] = sum over k, r, s of w[k,c,r,s] dy[n,k,p,q] with h = p stride + r dilation - pad. */
export const ConvInputGrad = defineOp("ConvInputGrad", {
  domain: "mttc",
  doc: "gradient of Conv for its input: dy [N,K,P,Q], w [K,C/group,R,S] -> dx of input_shape [N,C,H,W], where N of 0 is that of dy",
  source: "chain rule on ONNX Conv-11",
  inputs: ["dy", "w"],
  outputs: ["dx"],
  attrs: { ...CONV_ATTRS, input_shape: { kind: "ints" } },
  axes: "stops",
  precision: "halves",
  // as of the convolution
  flops: ({ inputs }, size) => 2 * size(inputs[0]) * size(inputs[1]?.type.shape.slice(1)),
  channelGain: { cotangent: 0, takenBy: 1 },
  infer: (ctx) => {
    const [images, channels = 0, height = 0, width = 0] = ctx.attrs.ints("input_shape");
    const [, , r, s] = imageDims(ctx, 1);
    const [n, , p, q] = imageDims(ctx, 0);
    const expected = outputSize(ctx, readWindow(ctx.attrs, [r, s]), height, width);
    if (String(expected) !== String([p, q])) ctx.fail(`dy is ${p}x${q}, the convolution gives ${expected}`);
    return [floatType(ctx, [images || n, channels, height, width], [0, 1])];
  },
  vjp: notDifferentiable("second derivatives of convolutions are not provided"),
  evaluate: (ctx) => {
    const [dy, w, dx] = [ctx.input(0), ctx.input(1), zerosForOutput(ctx, 0)];
    spreadThroughFilters(convGeometry(ctx.attrs, dx.shape, w.shape, dy.shape), dx, w, dy);
    return [dx];
  },
  lower: INPUT_GRADIENT_FORMS,
});

/** dw[k,c,r,s] = sum over n, p, q of dy[n,k,p,q] x[n,c, p stride + r dilation - pad, ...]. */
export const ConvWeightGrad = defineOp("ConvWeightGrad", {
  domain: "mttc",
  doc: "gradient of Conv for its filters: x [N,C,H,W], dy [N,K,P,Q] -> dw [K,C/group,R,S], R and S of kernel_shape",
  source: "chain rule on ONNX Conv-11",
  inputs: ["x", "dy"],
  outputs: ["dw"],
  attrs: { ...CONV_ATTRS, kernel_shape: { kind: "ints" } },
  axes: "stops",
  precision: "halves",
  // as of the convolution
  flops: ({ inputs, outputs }, size) => 2 * size(inputs[1]) * size(outputs[0]?.type.shape.slice(1)),
  channelGain: { cotangent: 1, takenBy: "result" },
  infer: (ctx) => {
    const [, c, height, width] = imageDims(ctx, 0);
    const [, k, p, q] = imageDims(ctx, 1);
    const [r = 1, s = 1] = ctx.attrs.ints("kernel_shape");
    const expected = outputSize(ctx, readWindow(ctx.attrs, [r, s]), height, width);
    if (String(expected) !== String([p, q])) ctx.fail(`dy is ${p}x${q}, the convolution gives ${expected}`);
    return [floatType(ctx, [k, c / ctx.attrs.int("group"), r, s], [0, 1])];
  },
  vjp: notDifferentiable("second derivatives of convolutions are not provided"),
  evaluate: (ctx) => {
    const [x, dy, dw] = [ctx.input(0), ctx.input(1), zerosForOutput(ctx, 0)];
    const geometry = convGeometry(ctx.attrs, x.shape, dw.shape, dy.shape);
    const step = geometry.window.columns.stride;
    visitConvRuns(geometry, (xFrom, wAt, yAt, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += dy.data[yAt + i]! * x.data[xFrom + i * step]!;
      dw.data[wAt]! += sum;
    });
    return [dw];
  },
  lower: WEIGHT_GRADIENT_FORMS,
});
