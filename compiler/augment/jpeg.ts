// What JPEG does to an image at quality 5 or 3, without a codec: colours to YCbCr, chroma to half the size,
// cosine transform of 8x8 blocks, division by the tables, rounding, and all of it back (ITU-T T.81; tables of
// its Annex K, scaled as libjpeg scales them). Approximate: a codec rounds in more places.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  clip,
  drawChoice,
  type FragmentContext,
  isSet,
  numbers,
} from "./operation.ts";

const BLOCK = 8;

const LUMINANCE = [
  [16, 11, 10, 16, 24, 40, 51, 61],
  [12, 12, 14, 19, 26, 58, 60, 55],
  [14, 13, 16, 24, 40, 57, 69, 56],
  [14, 17, 22, 29, 51, 87, 80, 62],
  [18, 22, 37, 56, 68, 109, 103, 77],
  [24, 35, 55, 64, 81, 104, 113, 92],
  [49, 64, 78, 87, 103, 121, 120, 101],
  [72, 92, 95, 98, 112, 100, 103, 99],
].flat();

const CHROMINANCE = [
  [17, 18, 24, 47, 99, 99, 99, 99],
  [18, 21, 26, 66, 99, 99, 99, 99],
  [24, 26, 56, 99, 99, 99, 99, 99],
  [47, 66, 99, 99, 99, 99, 99, 99],
  ...Array.from({ length: 4 }, () => Array.from({ length: 8 }, () => 99)),
].flat();

/** From RGB to Y, Cb, Cr, by rows (JFIF 1.02), and back. */
const TO_YCBCR = [0.299, 0.587, 0.114, -0.168735892, -0.331264108, 0.5, 0.5, -0.418687589, -0.081312411];
const TO_RGB = [1, 0, 1.402, 1, -0.344136286, -0.714136286, 1, 1.772, 0];

/** Row k of the orthonormal cosine transform of 8 numbers. */
const COSINES = Float64Array.from({ length: BLOCK * BLOCK }, (_, i) => {
  const [k, n] = [Math.floor(i / BLOCK), i % BLOCK];
  return Math.sqrt((k === 0 ? 1 : 2) / BLOCK) * Math.cos(((2 * n + 1) * k * Math.PI) / (2 * BLOCK));
});

/** A table at a quality below 50, [1,1,1,8,1,8]. */
function scaledTable(b: GraphBuilder, table: readonly number[], quality: number): Value {
  const scale = Math.floor(5000 / quality);
  const entries = table.map((entry) => Math.min(255, Math.floor((entry * scale + 50) / 100)));
  return numbers(b, [1, 1, 1, BLOCK, 1, BLOCK], entries);
}

/** Planes [N,C,H,W], multiples of 8 in size: transformed, rounded to multiples of the table, and back. */
function quantise(ctx: FragmentContext, planes: Value, table: readonly number[]): Value {
  const { b } = ctx;
  const [, channels = 1, height = 1, width = 1] = planes.type.shape.map(Number);
  const [down, across] = [height / BLOCK, width / BLOCK];
  const cosines = numbers(b, [BLOCK, BLOCK], COSINES);
  const inverse = b.transpose(cosines, [1, 0]);
  // A matrix for each image: ONNX Runtime refuses a common one on the left where there are no images at all.
  const none = b.reshape(b.mul(ctx.column("apply"), b.scalar(0)), [0, 1, 1, 1, 1]);
  const byRows = (x: Value, left: Value): Value =>
    b.emit("MatMul", [b.add(none, left), b.reshape(x, [0, channels, down, BLOCK, width])]);
  const byColumns = (x: Value, right: Value): Value =>
    b.emit("MatMul", [b.reshape(x, [0, channels, height, across, BLOCK]), right]);
  const spectrum = byColumns(byRows(planes, cosines), inverse);
  const blocks = b.reshape(spectrum, [0, channels, down, BLOCK, across, BLOCK]);
  const condition = b.reshape(isSet(ctx, "is_worse"), [0, 1, 1, 1, 1, 1]);
  const steps = b.where(condition, scaledTable(b, table, 3), scaledTable(b, table, 5));
  const rounded = b.mul(b.emit("Round", [b.div(blocks, steps)]), steps);
  const restored = byColumns(byRows(rounded, inverse), cosines);
  return b.reshape(restored, [0, channels, height, width]);
}

/** Chroma planes at half the size and back, with the triangle filter of libjpeg's decoder. */
function degradeChroma(ctx: FragmentContext, chroma: Value): Value {
  const { b } = ctx;
  const halved = b.emit("AveragePool", [chroma], { kernel_shape: [2, 2], strides: [2, 2] });
  const scales = b.constant({ dtype: "float32", shape: [4], data: Float64Array.of(1, 1, 2, 2) });
  return b.emit("Resize", [quantise(ctx, halved, CHROMINANCE), undefined, scales], {
    mode: "linear",
    coordinate_transformation_mode: "half_pixel",
  });
}

/** A 3x3 matrix on the channels, as a 1x1 convolution. */
function mixChannels(b: GraphBuilder, x: Value, matrix: readonly number[]): Value {
  return b.emit("Conv", [x, numbers(b, [3, 3, 1, 1], matrix)], { kernel_shape: [1, 1] });
}

function degrade(ctx: FragmentContext, bytes: Value): Value {
  const { b, channels } = ctx;
  const middle = b.scalar(128);
  if (channels !== 3) return b.add(quantise(ctx, b.sub(bytes, middle), LUMINANCE), middle);
  const ycc = mixChannels(b, bytes, TO_YCBCR);
  const luma = quantise(ctx, b.sub(b.slice(ycc, [0], [1], [1]), middle), LUMINANCE);
  const chroma = degradeChroma(ctx, b.slice(ycc, [1], [3], [1]));
  return mixChannels(b, b.emit("Concat", [b.add(luma, middle), chroma], { axis: 1 }), TO_RGB);
}

const jpegDegrade: AugmentOperation = {
  doc: "tf.image.adjust_jpeg_quality, simulated; by two draws of the same chance, quality 3 after both, else 5",
  columns: ["apply", "is_worse"],
  draw: (ctx) => {
    if (!drawChoice(ctx)) return [0, 0];
    return [1, drawChoice(ctx) ? 1 : 0];
  },
  isDrawn: (ctx) => isSet(ctx, "apply"),
  emit: (ctx) => {
    const { b, x, height, width, channels } = ctx;
    // TensorFlow's conversion to bytes.
    const bytes = clip(b, b.emit("Floor", [b.mul(x, b.scalar(255.5))]), 0, 255);
    const side = channels === 3 ? 2 * BLOCK : BLOCK;
    const [below, right] = [(side - (height % side)) % side, (side - (width % side)) % side];
    const padded = b.emit("Pad", [bytes, b.ints([0, 0, 0, 0, 0, 0, below, right])], { mode: "edge" });
    const whole = b.slice(degrade(ctx, padded), [0, 0], [height, width], [2, 3]);
    const decoded = b.div(clip(b, b.emit("Round", [whole]), 0, 255), b.scalar(255));
    return b.where(isSet(ctx, "apply"), decoded, x);
  },
};

export const JPEG = { jpeg_degrade: jpegDegrade };
