// Operations that filter an image in space: blur and edges.
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  applyToSides,
  drawBetween,
  drawChoice,
  type FragmentContext,
  isSet,
  numbers,
} from "./operation.ts";

/** So small a sigma that the filter is exactly 1 in the middle and 0 elsewhere, in float32 too. */
const NO_BLUR = 0.01;
/** A squared distance at which the widest filter is 0: there are no taps beyond the radius. */
const BEYOND = 1e9;

/** Banded matrix [N,1,size,size] of a Gaussian filter; what is beyond the image counts as 0. */
function blurMatrix({ b, height }: FragmentContext, size: number, exponent: Value): Value {
  const radius = Math.floor(height / 20);
  const squares = Float64Array.from({ length: size * size }, (_, i) => {
    const distance = Math.abs(Math.floor(i / size) - (i % size));
    return distance <= radius ? distance ** 2 : BEYOND;
  });
  const taps = Float64Array.from({ length: 2 * radius + 1 }, (_, i) => (i - radius) ** 2);
  const total = b.reduceSum(
    b.emit("Exp", [b.mul(numbers(b, [1, 1, 1, taps.length], taps), exponent)]),
    [3],
    1,
  );
  const band = b.emit("Exp", [b.mul(numbers(b, [1, 1, size, size], squares), exponent)]);
  return b.div(band, total);
}

const gaussianBlur: AugmentOperation = {
  doc: "SimCLR's blur: 2 (H // 20) + 1 taps along both axes, zeros beyond the edge (which darkens it)",
  columns: ["sigma"],
  draw: (ctx) => [drawChoice(ctx) ? drawBetween(ctx, 0.1, 2) : NO_BLUR],
  isDrawn: ({ b, column }) => b.emit("Greater", [column("sigma"), b.scalar(2 * NO_BLUR)]),
  emit: (ctx) => {
    const { b, x, height, width } = ctx;
    if (height < 20) return x;
    const sigma = ctx.column("sigma");
    const exponent = b.div(b.scalar(-0.5), b.mul(sigma, sigma));
    return applyToSides(b, blurMatrix(ctx, height, exponent), x, blurMatrix(ctx, width, exponent));
  },
};

const sobel: AugmentOperation = {
  doc: "mean of tf.image.sobel_edges over both directions and all channels, brought to [0, 1] by its extremes",
  columns: ["apply"],
  draw: (ctx) => [drawChoice(ctx) ? 1 : 0],
  isDrawn: (ctx) => isSet(ctx, "apply"),
  emit: (ctx) => {
    const { b, x } = ctx;
    const grey = b.reduceMean(x, [1], 1);
    const padded = b.emit("Pad", [grey, b.ints([0, 0, 1, 1, 0, 0, 1, 1])], { mode: "reflect" });
    // Half the sum of the filters for rows and for columns.
    const filter = numbers(b, [1, 1, 3, 3], [-1, -1, 0, -1, 0, 1, 0, 1, 1]);
    const edges = b.emit("Conv", [padded, filter], { kernel_shape: [3, 3] });
    const extreme = (op: "ReduceMax" | "ReduceMin"): Value =>
      b.emit(op, [edges, b.ints([2, 3])], { keepdims: 1 });
    const [most, least] = [extreme("ReduceMax"), extreme("ReduceMin")];
    const scaled = b.div(b.sub(edges, least), b.add(b.sub(most, least), b.scalar(1e-7)));
    return b.where(isSet(ctx, "apply"), scaled, x);
  },
};

export const FILTERS = { gaussian_blur: gaussianBlur, sobel_prob: sobel };
