// Keras layers that move, cut, repeat or reorder elements. Only those that mix axes (Flatten, Reshape,
// Permute) may need a transpose between Keras's order and NCHW; kerasLayout.ts leaves it out where sizes of
// 1 make it a reshape.
import type { Value } from "../../ir/types.ts";
import { imageSize } from "./kerasConvolution.ts";
import { kerasShape, reshapeAsKeras, storedPermutation } from "./kerasLayout.ts";
import type { LayerCall, LayerRule } from "./layerCall.ts";
import { type Border, readBorder } from "./paddingFold.ts";
import { resamplingMatrix } from "./resampling.ts";

/** Layers that do nothing at inference: dropouts, noise, regularisers. */
export const identityLayer: LayerRule = ({ x }) => x;

/** Random augmentation layers: nothing at inference, and nothing that training here would repeat. */
export const augmentationLayer: LayerRule = ({ x, className, note }) => {
  note(`${className} was left out: it augments in training only; use the spec's \`augment\``);
  return x;
};

/** RandomCrop to the size that images have; versions of Keras differ in what another does at inference. */
export const randomCropLayer: LayerRule = (call) => {
  const [, height, width] = imageSize(call);
  if (call.config.int("height") !== height || call.config.int("width") !== width)
    call.fail(
      "E_MODEL_OP",
      `it crops images of ${height}x${width}, at inference as its version of Keras does`,
    );
  return augmentationLayer(call);
};

/** CenterCrop: height x width from the middle; an odd rest lies below and to the right. */
export const centerCropLayer: LayerRule = (call) => {
  const [, fromHeight, fromWidth] = imageSize(call);
  const [height, width] = [call.config.int("height"), call.config.int("width")];
  if (height > fromHeight || width > fromWidth)
    call.fail("E_MODEL_OP", `it enlarges images of ${fromHeight}x${fromWidth}, which is not supported`);
  const [top, left] = [Math.floor((fromHeight - height) / 2), Math.floor((fromWidth - width) / 2)];
  if (height === fromHeight && width === fromWidth) return call.x;
  return call.b.slice(call.x, [top, left], [top + height, left + width], [2, 3]);
};

/** Flatten: in Keras's order of elements. */
export const flattenLayer: LayerRule = (call) => {
  const { b, x, layout } = call;
  const size = sizesAfterBatch(call).reduce((product, dim) => product * dim, 1);
  if (x.type.shape.length === 2) return x;
  // Keras moves the channels of a channels_first image behind its pixels first.
  const isFirst = layout === "channels_first" && call.config.string("data_format", "") === "channels_first";
  const ordered = isFirst && x.type.shape.length === 4 ? b.transpose(x, [0, 2, 3, 1]) : x;
  return reshapeAsKeras(b, ordered, [size], layout);
};

/** Reshape: `target_shape` without the batch axis, one entry may be -1. */
export const reshapeLayer: LayerRule = (call) => {
  const target = call.config.ints("target_shape", -1) ?? call.fail("E_MODEL_PARSE", "it has no target_shape");
  const total = sizesAfterBatch(call).reduce((product, dim) => product * dim, 1);
  const known = target.filter((dim) => dim !== -1).reduce((product, dim) => product * dim, 1);
  const to = target.map((dim) => (dim === -1 ? total / known : dim));
  const product = to.reduce((all, dim) => all * dim, 1);
  if (product !== total || to.some((dim) => !Number.isInteger(dim) || dim < 1))
    call.fail("E_SHAPE", `[${sizesAfterBatch(call)}] cannot become [${target}]`);
  return reshapeAsKeras(call.b, call.x, to, call.layout);
};

/** Permute: `dims` counts from 1, without the batch axis. */
export const permuteLayer: LayerRule = (call) => {
  const dims = call.config.ints("dims") ?? [];
  const rank = call.x.type.shape.length;
  const isPermutation = dims.length === rank - 1 && dims.every((_, i) => dims.includes(i + 1));
  if (!isPermutation)
    call.fail("E_MODEL_PARSE", `dims [${dims}] do not permute the ${rank - 1} axes of its input`);
  const perm = storedPermutation([0, ...dims], call.layout);
  return perm.every((axis, i) => axis === i) ? call.x : call.b.transpose(call.x, perm);
};

/** ZeroPadding2D: padding [[top, bottom], [left, right]]. */
export const zeroPaddingLayer: LayerRule = (call) => {
  imageSize(call);
  const [top, left, bottom, right] = borderOf(call, "padding");
  if (top + bottom + left + right === 0) return call.x;
  const { b, x } = call;
  // ONNX Runtime moves a Pad without axes into a max pooling behind it, which pads with -infinity instead
  // of 0.
  return b.emit("Pad", [x, b.ints([top, left, bottom, right]), b.scalar(0), b.ints([2, 3])]);
};

/** Cropping2D: cropping [[top, bottom], [left, right]]. */
export const croppingLayer: LayerRule = (call) => {
  const [, height, width] = imageSize(call);
  const [top, left, bottom, right] = borderOf(call, "cropping");
  if (top + bottom >= height || left + right >= width)
    call.fail("E_SHAPE", `it crops away the whole image of ${height}x${width}`);
  return call.b.slice(call.x, [top, left], [height - bottom, width - right], [2, 3]);
};

function borderOf(call: LayerCall, name: "padding" | "cropping"): Border {
  const value = call.config.raw(name) ?? (name === "padding" ? 1 : 0);
  return readBorder(value) ?? call.fail("E_MODEL_PARSE", `its ${name} is not one or two pairs of pixels`);
}

/** UpSampling2D: each pixel repeated, or bilinear with half-pixel centres. */
export const upSamplingLayer: LayerRule = (call) => {
  const { b, x, config } = call;
  const [channels, height, width] = imageSize(call);
  const [rows, columns] = config.pair("size", [2, 2]);
  if (config.oneOf("interpolation", ["nearest", "bilinear"], "nearest") === "bilinear")
    return resample(call, height * rows, width * columns, "bilinear");
  const apart = b.reshape(x, [0, channels, height, 1, width, 1]);
  return b.reshape(b.expand(apart, [1, 1, 1, rows, 1, columns]), [
    0,
    channels,
    height * rows,
    width * columns,
  ]);
};

/**
 * Resizing without keeping the aspect ratio: bilinear or nearest with half-pixel centres, no antialiasing.
 */
export const resizingLayer: LayerRule = (call) => {
  const { config } = call;
  for (const option of ["crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"])
    if (config.boolean(option, false)) call.fail("E_MODEL_OP", `${option} is not supported`);
  const method = config.oneOf("interpolation", ["bilinear", "nearest"], "bilinear");
  return resample(call, config.int("height"), config.int("width"), method);
};

/** y = R x C^T for every channel, R and C the resampling matrices of rows and columns. */
function resample(call: LayerCall, height: number, width: number, method: "bilinear" | "nearest"): Value {
  const { b, x, fail } = call;
  const [, fromHeight, fromWidth] = imageSize(call);
  // Elements of a resampling matrix: enough for images of 4096 pixels a side.
  const limit = 1 << 24;
  if (height * fromHeight > limit || width * fromWidth > limit)
    fail("E_MODEL_OP", `images of ${height}x${width} are too large`);
  const rows = resamplingMatrix(fromHeight, height, method);
  const columns = transposed(resamplingMatrix(fromWidth, width, method), width, fromWidth);
  const stretched =
    height === fromHeight ? x : b.emit("MatMul", [call.constant([height, fromHeight], rows), x]);
  if (width === fromWidth) return stretched;
  return b.emit("MatMul", [stretched, call.constant([fromWidth, width], columns)]);
}

/** The transpose of a row-major matrix. */
function transposed(matrix: readonly number[], rows: number, columns: number): number[] {
  return matrix.map((_, at) => matrix[(at % rows) * columns + Math.floor(at / rows)] ?? 0);
}

function sizesAfterBatch({ x, layout }: LayerCall): number[] {
  return kerasShape(x, layout).slice(1).map(Number);
}
