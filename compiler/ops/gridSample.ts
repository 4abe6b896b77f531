// GridSample: an image read at coordinates that are values of the graph, between -1 and 1 on each axis. Its
// gradient by image and by coordinates is spelled in standard operators in gridSampleGradient.ts.
import { defineOp, type EvaluateContext, type NDArray, type Op } from "../ir/op.ts";
import { differentiateGridSample } from "./gridSampleGradient.ts";
import { floatType, imageDims } from "./slidingWindow.ts";
import { zerosForOutput } from "./strided.ts";

const MODES: readonly string[] = ["bilinear", "nearest"];
const PADDINGS: readonly string[] = ["zeros", "border", "reflection"];

const GridSample = defineOp("GridSample", {
  doc: "y [N,C,P,Q] = pixels of x [N,C,H,W] at grid [N,P,Q,2] (x then y, -1 to 1); bilinear or nearest",
  source: "ONNX GridSample-16",
  inputs: ["x", "grid"],
  attrs: {
    align_corners: { kind: "int", default: 0 },
    mode: { kind: "string", default: "bilinear" },
    padding_mode: { kind: "string", default: "zeros" },
  },
  axes: "stops",
  precision: "float32",
  infer: (ctx) => {
    const [n, c] = imageDims(ctx, 0);
    const [batch, p, q, two, ...more] = ctx.input(1).shape;
    if (batch !== n || p === undefined || q === undefined || two !== 2 || more.length > 0)
      ctx.fail(`expected a grid [${n},P,Q,2], found [${ctx.input(1).shape}]`);
    const { string } = ctx.attrs;
    if (!MODES.includes(string("mode")))
      ctx.fail(`expected a mode of ${MODES.join(", ")}, found ${string("mode")}`);
    if (!PADDINGS.includes(string("padding_mode")))
      ctx.fail(`expected a padding_mode of ${PADDINGS.join(", ")}, found ${string("padding_mode")}`);
    return [floatType(ctx, [n, c, p ?? 1, q ?? 1], [0, 1])];
  },
  vjp: differentiateGridSample,
  evaluate: evaluateGridSample,
});

function evaluateGridSample(ctx: EvaluateContext): readonly NDArray[] {
  const [x, grid, y] = [ctx.input(0), ctx.input(1), zerosForOutput(ctx)];
  const [, c = 1, p = 1, q = 1] = y.shape;
  const [, , height = 1, width = 1] = x.shape;
  const place = {
    aligned: ctx.attrs.int("align_corners") === 1,
    padding: ctx.attrs.string("padding_mode"),
  };
  const nearest = ctx.attrs.string("mode") === "nearest";
  y.data.forEach((_, i) => {
    const plane = Math.floor(i / (p * q));
    const at = 2 * (Math.floor(plane / c) * p * q + (i % (p * q)));
    const column = pixelCoordinate(grid.data[at]!, width, place);
    const row = pixelCoordinate(grid.data[at + 1]!, height, place);
    for (const [h, byRow] of tapsAt(row, nearest))
      for (const [w, byColumn] of tapsAt(column, nearest)) {
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        y.data[i]! += byRow * byColumn * x.data[(plane * height + h) * width + w]!;
      }
  });
  return [y];
}

/** A coordinate of [-1, 1] in pixels of an axis of `size`, brought inside as the padding mode says. */
function pixelCoordinate(
  coordinate: number,
  size: number,
  { aligned, padding }: { readonly aligned: boolean; readonly padding: string },
): number {
  const place = aligned ? ((coordinate + 1) / 2) * (size - 1) : ((coordinate + 1) * size - 1) / 2;
  if (padding === "zeros") return place;
  const [low, span] = aligned ? [0, size - 1] : [-0.5, size];
  const inside = padding === "border" || span === 0 ? place : reflected(place - low, span) + low;
  return Math.min(Math.max(inside, 0), size - 1);
}

/** x folded back and forth into [0, span]. */
function reflected(x: number, span: number): number {
  return span - Math.abs((Math.abs(x) % (2 * span)) - span);
}

/** Pixels that a coordinate reads, and their weights. */
function tapsAt(place: number, nearest: boolean): readonly (readonly [pixel: number, weight: number])[] {
  const below = Math.floor(place);
  const fraction = place - below;
  if (nearest) {
    const isUp = fraction > 0.5 || (fraction === 0.5 && below % 2 !== 0);
    return [[isUp ? below + 1 : below, 1]];
  }
  return [
    [below, 1 - fraction],
    [below + 1, fraction],
  ];
}

/** Ops of this family. */
export const GRID_SAMPLING: readonly Op[] = [GridSample];
