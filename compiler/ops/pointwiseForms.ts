// A 1x1 convolution without pads and groups as a matrix product. lower/cuda.ts chooses by shape.
import type { Forms, Lowering } from "../ir/op.ts";
import { concreteShape } from "../ir/types.ts";

/**
 * y [K, P Q] = w [K,C] x [C, P Q] for each image; with strides, of the pixels that they leave. ONNX Runtime's
 * CUDA kernel multiplies one matrix with a stack by a list of pointers, not by strides.
 */
const product: Lowering = (ctx) => {
  const { b, attrs } = ctx;
  const [n = 1, c = 1, height = 1, width = 1] = concreteShape(ctx.input(0).type.shape);
  const [, k = 1, p = 1, q = 1] = concreteShape(ctx.outputs[0]!.type.shape);
  const strides = attrs.ints("strides");
  const image = strides.every((stride) => stride === 1)
    ? ctx.input(0)
    : b.slice(ctx.input(0), [0, 0], [height, width], [2, 3], strides);
  const filters = b.reshape(ctx.input(1), [k, c]);
  const pixels = b.emit("MatMul", [filters, b.reshape(image, [n, c, p * q])]);
  const y = b.reshape(pixels, [n, k, p, q]);
  const bias = ctx.inputs[2];
  return [bias ? b.add(y, b.reshape(bias, [1, k, 1, 1])) : y];
};

/** Forms of Conv by name. */
export const POINTWISE_FORMS = { product } as const satisfies Forms;
