// Crops that are resized to the whole image. Both are separable: one matrix of weights for the rows and one
// for the columns of each image, two matrix products.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  applyToSides,
  clip,
  type DrawContext,
  drawBetween,
  drawInteger,
  type FragmentContext,
  pixelNumbers,
  ramp,
} from "./operation.ts";
import { type Arithmetic, centrePlace, cubicPlace, cubicWeight, TABLE_STEPS } from "./zoomWeights.ts";

const ATTEMPTS = 100;

/** [row, column, height, width] in pixels. */
type Box = readonly [number, number, number, number];

/**
 * A crop as TensorFlow's sample_distorted_bounding_box draws it: aspect ratio 3/4 to 4/3 of the image's, at
 * least `strength` of its area; the whole image after 100 vain tries.
 */
function drawBox(ctx: DrawContext): Box {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const box = tryBox(ctx, drawBetween(ctx, 3 / 4, 4 / 3) * (ctx.width / ctx.height));
    if (box) return box;
  }
  return [0, 0, ctx.height, ctx.width];
}

function tryBox(ctx: DrawContext, aspect: number): Box | undefined {
  const { height: imageHeight, width: imageWidth, strength } = ctx;
  const mostArea = imageHeight * imageWidth;
  const leastArea = strength * mostArea;
  const widthOf = (height: number): number => Math.round(height * aspect);
  let tallest = Math.round(Math.sqrt(mostArea / aspect));
  if (widthOf(tallest) > imageWidth) tallest = Math.floor((imageWidth + 0.5) / aspect);
  if (widthOf(tallest) > imageWidth) tallest -= 1;
  tallest = Math.min(tallest, imageHeight);
  const shortest = Math.min(Math.round(Math.sqrt(leastArea / aspect)), tallest);
  let height = drawInteger(ctx, shortest, tallest + 1);
  // Rounding may have taken the area over a bound: one pixel back.
  if (widthOf(height) * height < leastArea) height += 1;
  if (widthOf(height) * height > mostArea) height -= 1;
  const width = widthOf(height);
  const fits = height >= 1 && width >= 1 && height <= imageHeight && width <= imageWidth;
  if (!fits || width * height < leastArea || width * height > mostArea) return undefined;
  return [drawInteger(ctx, 0, imageHeight - height), drawInteger(ctx, 0, imageWidth - width), height, width];
}

/** The formulas of zoomWeights.ts on tensors. */
function tensorArithmetic(b: GraphBuilder): Arithmetic<Value> {
  return {
    constant: (value) => b.scalar(value),
    add: (one, other) => b.add(one, other),
    sub: (one, other) => b.sub(one, other),
    mul: (one, other) => b.mul(one, other),
    floor: (x) => b.emit("Floor", [x]),
    round: (x) => b.emit("Round", [x]),
    whereLess: (one, other, yes, no) => b.where(b.emit("Less", [one, other]), yes, no),
  };
}

/**
 * Weights [N,1,size,size] of the pixels of an axis for a resize of [start, start + length) to `size`: Keys's
 * cubic with A = -0.5, taps outside the crop left out, the rest brought to the sum 1.
 */
function cubicWeights(
  { b }: FragmentContext,
  size: number,
  {
    start,
    length,
    mirrored,
  }: { readonly start: Value; readonly length: Value; readonly mirrored: Value | undefined },
): Value {
  const arithmetic = tensorArithmetic(b);
  const { whole, steps } = cubicPlace(arithmetic, ramp(b, size, [1, 1, size, 1]), length, size);
  const place = b.add(whole, b.mul(steps, b.scalar(1 / TABLE_STEPS)));
  // Pixel of the crop that each pixel of the image is.
  const pixel = b.sub(pixelNumbers(b, size, [1, 1, 1, size], mirrored), start);
  const cubic = cubicWeight(arithmetic, b.emit("Abs", [b.sub(place, pixel)]));
  // Half a pixel inside both ends of the crop: |pixel - (length - 1) / 2| < length / 2.
  const half = b.mul(length, b.scalar(0.5));
  const fromCentre = b.emit("Abs", [b.sub(pixel, b.sub(half, b.scalar(0.5)))]);
  const inside = b.where(b.emit("Less", [fromCentre, half]), cubic, b.scalar(0));
  return b.div(inside, b.reduceSum(inside, [3], 1));
}

const zoom: AugmentOperation = {
  doc: "tf.image.crop_to_bounding_box, then tf.image.resize by bicubic, without antialiasing",
  columns: ["row", "column", "height", "width"],
  draw: drawBox,
  emitMirrored: (ctx, { rows, columns }) => {
    const { b, x, column } = ctx;
    const vertical = { start: column("row"), length: column("height"), mirrored: rows };
    const horizontal = { start: column("column"), length: column("width"), mirrored: columns };
    const left = cubicWeights(ctx, ctx.height, vertical);
    return { x: applyToSides(b, left, x, cubicWeights(ctx, ctx.width, horizontal)), mirrorings: {} };
  },
};

/** Weights [N,1,size,size] for reading an axis from margin to 1 - margin, ends on ends, bilinear. */
function centreWeights({ b, column }: FragmentContext, size: number, mirrored: Value | undefined): Value {
  const place = centrePlace(tensorArithmetic(b), ramp(b, size, [1, 1, size, 1]), column("margin"), size);
  const distance = b.emit("Abs", [b.sub(place, pixelNumbers(b, size, [1, 1, 1, size], mirrored))]);
  return clip(b, b.sub(b.scalar(1), distance), 0, 1);
}

const centerZoom: AugmentOperation = {
  doc: "tf.image.crop_and_resize of the box [z, z, 1 - z, 1 - z], z to (1 - scale) / 2; corners go to corners",
  columns: ["margin"],
  draw: (ctx) => [drawBetween(ctx, 0, (1 - ctx.strength) / 2)],
  emitMirrored: (ctx, { rows, columns }) => {
    const left = centreWeights(ctx, ctx.height, rows);
    const x = applyToSides(ctx.b, left, ctx.x, centreWeights(ctx, ctx.width, columns));
    return { x, mirrorings: {} };
  },
};

export const ZOOMS = { zoom_scale: zoom, center_zoom_scale: centerZoom };
