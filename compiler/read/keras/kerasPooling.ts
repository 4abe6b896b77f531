// Keras's pooling layers, over windows and over whole images.
import { imageSize, windowPads } from "./kerasConvolution.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";

/** MaxPooling2D and AveragePooling2D; the mean counts the pixels of the image only, as TensorFlow's does. */
export const maxPoolLayer: LayerRule = (call) => pool(call, "MaxPool");
export const averagePoolLayer: LayerRule = (call) => pool(call, "AveragePool");

function pool(call: LayerCall, op: "MaxPool" | "AveragePool") {
  const { b, x, config } = call;
  const [, ...size] = imageSize(call);
  const kernel = config.pair("pool_size", [2, 2]);
  const strides = config.pair("strides", kernel);
  const pads = windowPads(call, [size[0] ?? 1, size[1] ?? 1], kernel, strides);
  return b.emit(op, [x], { kernel_shape: kernel, strides, pads });
}

/** GlobalAveragePooling2D and GlobalMaxPooling2D: [N,C], or [N,C,1,1] with keepdims. */
export const globalAverageLayer: LayerRule = (call) => {
  imageSize(call);
  return call.b.reduceMean(call.x, [2, 3], keepDims(call));
};
export const globalMaxLayer: LayerRule = (call) => {
  imageSize(call);
  return call.b.emit("ReduceMax", [call.x, call.b.ints([2, 3])], { keepdims: keepDims(call) });
};

function keepDims({ config }: LayerCall): 0 | 1 {
  return config.boolean("keepdims", false) ? 1 : 0;
}
