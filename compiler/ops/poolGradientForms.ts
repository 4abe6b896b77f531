// Spellings of MaxPoolGrad in standard ONNX operators. All give the cotangent to the first maximum of a
// window.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Forms, LowerContext, Lowering } from "../ir/op.ts";
import type { Attrs, Value } from "../ir/types.ts";
import { concreteShape } from "../ir/types.ts";
import { sizesOr } from "./axes.ts";
import { fillLike } from "./elementwise.ts";

function poolAttrs({ attrs }: LowerContext): Attrs {
  return {
    kernel_shape: attrs.ints("kernel_shape"),
    strides: attrs.ints("strides"),
    pads: attrs.ints("pads"),
    dilations: attrs.ints("dilations"),
    ceil_mode: attrs.int("ceil_mode"),
  };
}

/**
 * Where the first maximum of each window lies in the flattened x: the pooling again, with its second output.
 */
function maximumPlaces(ctx: LowerContext): Value {
  return ctx.b.emitAll("MaxPool", [ctx.input(1)], poolAttrs(ctx), 2)[1]!;
}

/**
 * Puts each cotangent where its maximum was. For windows that do not overlap (later ones would overwrite) and
 * do not reach over the end of the padded image (ceil_mode: ONNX Runtime refuses the shape).
 */
const unpool: Lowering = (ctx) => {
  const { b, attrs } = ctx;
  const shape = concreteShape(ctx.input(1).type.shape);
  const window = {
    kernel_shape: attrs.ints("kernel_shape"),
    strides: attrs.ints("strides"),
    pads: attrs.ints("pads"),
  };
  return [b.emit("MaxUnpool", [ctx.input(0), maximumPlaces(ctx), b.ints(shape)], window)];
};

/** Adds each cotangent where its maximum was. For all windows, and a batch of any size. */
const scatterAdd: Lowering = (ctx) => {
  const { b } = ctx;
  const [dy, x] = [ctx.input(0), ctx.input(1)];
  const zeros = flatZeros(b, x);
  const windows = flatSize(dy);
  const places = b.reshape(maximumPlaces(ctx), [windows]);
  const updates = b.reshape(dy, [windows]);
  const flat = b.emit("ScatterElements", [zeros, places, updates], { axis: 0, reduction: "add" });
  return [b.reshape(flat, sizesOr(x.type.shape, -1))];
};

/** As many zeros as x has elements, [elements]. */
function flatZeros(b: GraphBuilder, x: Value): Value {
  const size = flatSize(x);
  return size < 0 ? b.reshape(fillLike(b, 0, x), [size]) : b.expand(b.scalar(0, x.type.dtype), [size]);
}

/** Elements of x, or -1 where a symbol hides them. */
function flatSize({ type }: Value): number {
  const sizes = sizesOr(type.shape, -1);
  return sizes.includes(-1) ? -1 : sizes.reduce((product, size) => product * size, 1);
}

/** Forms of MaxPoolGrad by name. */
export const POOL_GRADIENT_FORMS = { unpool, scatterAdd } as const satisfies Forms;
