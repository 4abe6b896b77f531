// Keras's convolutions and dense layers. Kernels come as [R,S,C,K] and become filters [K,C,R,S]; "same"
// padding is TensorFlow's: as much as the stride needs, the odd pixel at the end. Letters as in
// ops/slidingWindow.ts.
import type { Value } from "../../ir/types.ts";
import { applyActivation } from "./kerasActivation.ts";
import type { WeightDeclaration } from "./kerasWeights.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";

/** Channels and size of an image input; E_MODEL_PARSE if it is none. */
export function imageSize({ x, fail }: LayerCall): readonly [C: number, H: number, W: number] {
  const [, c, h, w] = x.type.shape;
  if (x.type.shape.length !== 4 || typeof c !== "number" || typeof h !== "number" || typeof w !== "number")
    return fail("E_MODEL_PARSE", `it needs an image, its input is [${x.type.shape}]`);
  return [c, h, w];
}

/** ONNX pads [top, left, bottom, right] of Keras's `padding` for windows over `size` pixels. */
export function windowPads(
  call: LayerCall,
  size: readonly [H: number, W: number],
  kernel: readonly [number, number],
  strides: readonly [number, number],
  dilations: readonly [number, number] = [1, 1],
): number[] {
  if (call.config.oneOf("padding", ["valid", "same"], "valid") === "valid") return [...call.border];
  const total = ([0, 1] as const).map((i) => {
    const positions = Math.ceil(size[i] / strides[i]);
    return Math.max((positions - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size[i], 0);
  });
  return splitPads(total);
}

/** Half at the beginning, the rest at the end. */
function splitPads(total: readonly number[]): number[] {
  const begin = total.map((pixels) => Math.floor(pixels / 2));
  return [...begin, ...total.map((pixels, i) => pixels - (begin[i] ?? 0))];
}

/** Conv2D, grouped and dilated too. */
export const convLayer: LayerRule = (call) => {
  const { config } = call;
  const [channels] = imageSize(call);
  const [r, s] = config.pair("kernel_size");
  const filters = config.int("filters");
  const group = config.int("groups", 1);
  const shape = [r, s, Math.floor(channels / group), filters];
  const kernel: WeightDeclaration = { names: ["kernel"], shape, perm: [3, 2, 0, 1] };
  const [w, bias] = call.weights([kernel, ...biasOf(call, filters)]);
  return applyActivation(call, convolve(call, call.x, w, bias, group));
};

/** DepthwiseConv2D: kernel [R,S,C,M], M filters for each channel. */
export const depthwiseLayer: LayerRule = (call) => {
  const { config } = call;
  const [channels] = imageSize(call);
  const [r, s] = config.pair("kernel_size");
  const multiplier = config.int("depth_multiplier", 1);
  const declared = depthwiseKernel(["kernel", "depthwise_kernel"], r, s, channels, multiplier);
  const [w, bias] = call.weights([declared, ...biasOf(call, channels * multiplier)]);
  return applyActivation(call, convolve(call, call.x, w, bias, channels));
};

/** SeparableConv2D: depthwise without bias, then pointwise with it. */
export const separableLayer: LayerRule = (call) => {
  const { b, config } = call;
  const [channels] = imageSize(call);
  const [r, s] = config.pair("kernel_size");
  const filters = config.int("filters");
  const multiplier = config.int("depth_multiplier", 1);
  const [depthwise, pointwise, bias] = call.weights([
    depthwiseKernel(["depthwise_kernel"], r, s, channels, multiplier),
    { names: ["pointwise_kernel"], shape: [1, 1, channels * multiplier, filters], perm: [3, 2, 0, 1] },
    ...biasOf(call, filters),
  ]);
  const inner = convolve(call, call.x, depthwise, undefined, channels);
  return applyActivation(call, b.emit("Conv", given([inner, pointwise, bias])));
};

function depthwiseKernel(
  names: WeightDeclaration["names"],
  r: number,
  s: number,
  channels: number,
  multiplier: number,
): WeightDeclaration {
  return {
    names,
    shape: [r, s, channels, multiplier],
    perm: [2, 3, 0, 1],
    to: [channels * multiplier, 1, r, s],
  };
}

function convolve(
  call: LayerCall,
  x: Value,
  w: Value | undefined,
  bias: Value | undefined,
  group: number,
): Value {
  const { b, config } = call;
  const [channels, height, width] = imageSize(call);
  if (channels % group !== 0)
    call.fail("E_MODEL_PARSE", `${group} groups do not divide ${channels} channels`);
  const kernel = config.pair("kernel_size");
  const strides = config.pair("strides", [1, 1]);
  const dilations = config.pair("dilation_rate", [1, 1]);
  const pads = windowPads(call, [height, width], kernel, strides, dilations);
  return b.emit("Conv", given([x, w, bias]), { strides, dilations, pads, group });
}

/**
 * Conv2DTranspose: kernel [R,S,K,C]. The output is that of TensorFlow's gradient of a convolution: with
 * "same", stride times the input; with "valid", every pixel that a tap reaches, and zeros up to the stride.
 */
export const convTransposeLayer: LayerRule = (call) => {
  const { b, config, x } = call;
  const [channels, ...size] = imageSize(call);
  const kernel = config.pair("kernel_size");
  const filters = config.int("filters");
  const strides = config.pair("strides", [1, 1]);
  const dilations = config.pair("dilation_rate", [1, 1]);
  const isSame = config.oneOf("padding", ["valid", "same"], "valid") === "same";
  const extra =
    config.raw("output_padding") === undefined ? undefined : config.pair("output_padding", [0, 0], 0);
  if (config.int("groups", 1) !== 1)
    call.fail("E_MODEL_OP", "groups of a transposed convolution are not supported");
  const axes = ([0, 1] as const).map((i) => {
    const [extent, stride] = [(kernel[i] - 1) * dilations[i] + 1, strides[i]];
    const reached = ((size[i] ?? 1) - 1) * stride + extent;
    // keras.src.backend.common.backend_utils: compute_conv_transpose_output_shape
    const wanted =
      extra === undefined
        ? (size[i] ?? 1) * stride + (isSame ? 0 : Math.max(extent - stride, 0))
        : reached - (isSame ? 2 * Math.floor(extent / 2) : 0) + extra[i];
    return { pad: isSame ? Math.max(reached - wanted, 0) : 0, more: Math.max(wanted - reached, 0) };
  });
  const declared: WeightDeclaration = {
    names: ["kernel"],
    shape: [...kernel, filters, channels],
    perm: [3, 2, 0, 1],
  };
  const [w, bias] = call.weights([declared, ...biasOf(call, filters)]);
  const y = b.emit("ConvTranspose", given([x, w, bias]), {
    strides,
    dilations,
    pads: splitPads(axes.map(({ pad }) => pad)),
    output_padding: axes.map(({ more }) => more),
  });
  return applyActivation(call, y);
};

/** Dense: over the last axis of Keras; on images that is the channels', hence a 1x1 convolution. */
export const denseLayer: LayerRule = (call) => {
  const { b, config, x, layout } = call;
  const units = config.int("units");
  const isImage = x.type.shape.length === 4 && layout === "channels_last";
  const width = Number(x.type.shape[isImage ? 1 : x.type.shape.length - 1]);
  const kernel: WeightDeclaration = {
    names: ["kernel"],
    shape: [width, units],
    ...(isImage ? { perm: [1, 0], to: [units, width, 1, 1] } : {}),
  };
  const [w = x, bias] = call.weights([kernel, ...biasOf(call, units)]);
  if (isImage) return applyActivation(call, b.emit("Conv", given([x, w, bias])));
  const product = b.emit("MatMul", [x, w]);
  return applyActivation(call, bias ? b.add(product, bias) : product);
};

function biasOf({ config }: LayerCall, filters: number): WeightDeclaration[] {
  return config.boolean("use_bias", true) ? [{ names: ["bias"], shape: [filters] }] : [];
}

function given(inputs: readonly (Value | undefined)[]): Value[] {
  return inputs.filter((input) => input !== undefined);
}
