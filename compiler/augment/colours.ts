// Operations on the colour of each pixel, some with statistics of the whole image. Those that take colours
// apart leave images of one channel as they are.
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  clip,
  type DrawContext,
  drawBetween,
  drawChoice,
  isSet,
  numbers,
} from "./operation.ts";

/** In place of a range of 0, which nothing is divided by. */
const LEAST_RANGE = 1e-12;
/** A threshold that no pixel reaches. */
const NO_THRESHOLD = 1e9;

/** (x - mean) * factor + mean, by the mean of each channel: x * factor + mean * (1 - factor). */
export function adjustContrast(b: GraphBuilder, x: Value, factor: Value): Value {
  const mean = b.reduceMean(x, [2, 3], 1);
  return b.add(b.mul(x, factor), b.mul(mean, b.sub(b.scalar(1), factor)));
}

/**
 * Scales S of HSV, at most to 1; hue and value stay. With V = max, S = (V - min) / V: a channel c becomes
 * V - (V - c) min(factor, 1/S), and V where V <= 0.
 */
export function adjustSaturation(b: GraphBuilder, x: Value, factor: Value): Value {
  if (x.type.shape[1] !== 3) return x;
  const { most, range } = extremes(b, x);
  return b.sub(most, b.mul(b.sub(most, x), saturationScale(b, most, range, factor)));
}

function saturationScale(b: GraphBuilder, most: Value, range: Value, factor: Value): Value {
  const inverse = b.div(most, atLeast(b, range, LEAST_RANGE));
  return atLeast(b, b.emit("Min", [factor, inverse]), 0);
}

function atLeast(b: GraphBuilder, x: Value, least: number): Value {
  return b.emit("Max", [x, b.scalar(least)]);
}

/**
 * Turns the hue by `turns` (1 = full circle); the largest and smallest channel value of a pixel stay. With
 * `saturation`, as after adjustSaturation by that factor: it changes neither V nor the hue.
 */
export function adjustHue(b: GraphBuilder, x: Value, turns: Value, saturation?: Value): Value {
  if (x.type.shape[1] !== 3) return x;
  const { red, green, blue, most, least, range } = extremes(b, x);
  // Where the range is 0, so is what it divides.
  const divisor = atLeast(b, range, LEAST_RANGE);
  const sector = (from: Value, to: Value, start: number): Value =>
    b.add(b.div(b.sub(from, to), divisor), b.scalar(start));
  // Hue in sixths of a turn, by the channel that is largest.
  const isMost = (channel: Value): Value => b.emit("GreaterOrEqual", [channel, most]);
  const otherwise = b.where(isMost(green), sector(blue, red, 2), sector(red, green, 4));
  const hue = b.where(isMost(red), sector(green, blue, 0), otherwise);
  const turned = b.add(hue, b.mul(turns, b.scalar(6)));
  const wholeTurns = b.emit("Floor", [b.mul(turned, b.scalar(1 / 6))]);
  const wrapped = b.sub(turned, b.mul(wholeTurns, b.scalar(6)));
  // Red is |h - 3| - 1, green 2 - |h - 2|, blue 2 - |h - 4|, each clipped to [0, 1].
  const perChannel = (values: readonly number[]): Value => numbers(b, [1, 3, 1, 1], values);
  const fromCentre = b.emit("Abs", [b.sub(wrapped, perChannel([3, 2, 4]))]);
  const share = b.add(b.mul(fromCentre, perChannel([1, -1, -1])), perChannel([-1, 2, 2]));
  if (!saturation) return b.add(least, b.mul(range, clip(b, share, 0, 1)));
  const changed = b.mul(range, saturationScale(b, most, range, saturation));
  return b.add(b.sub(most, changed), b.mul(changed, clip(b, share, 0, 1)));
}

/** Channels of [N,3,H,W] and their extremes, each [N,1,H,W]. */
function extremes(b: GraphBuilder, x: Value) {
  const [red, green, blue] = [0, 1, 2].map((i) => b.slice(x, [i], [i + 1], [1])) as [Value, Value, Value];
  const most = b.emit("Max", [red, green, blue]);
  const least = b.emit("Min", [red, green, blue]);
  return { red, green, blue, most, least, range: b.sub(most, least) };
}

/** A factor about 1, not below 0. */
export function drawFactor(ctx: DrawContext, delta: number): number {
  return drawBetween(ctx, Math.max(0, 1 - delta), 1 + delta);
}

const solarize: AugmentOperation = {
  doc: "1 - x where x is not below the threshold",
  columns: ["threshold"],
  draw: (ctx) => [drawChoice(ctx) ? ctx.uniform() : NO_THRESHOLD],
  emit: ({ b, x, column }) => b.where(b.emit("Less", [x, column("threshold")]), x, b.sub(b.scalar(1), x)),
};

const brightness: AugmentOperation = {
  doc: "x * factor: patchwork multiplies, tf.image.random_brightness would add",
  columns: ["factor"],
  draw: (ctx) => [drawFactor(ctx, ctx.strength)],
  emit: ({ b, x, column }) => b.mul(x, column("factor")),
};

const contrast: AugmentOperation = {
  doc: "tf.image.adjust_contrast",
  columns: ["factor"],
  draw: (ctx) => [drawFactor(ctx, ctx.strength)],
  emit: ({ b, x, column }) => adjustContrast(b, x, column("factor")),
};

const saturation: AugmentOperation = {
  doc: "tf.image.adjust_saturation",
  columns: ["factor"],
  draw: (ctx) => [drawFactor(ctx, ctx.strength)],
  emit: ({ b, x, column }) => adjustSaturation(b, x, column("factor")),
  withNext: {
    next: "hue_delta",
    emit: ({ b, x, column }, nextColumn) => adjustHue(b, x, nextColumn("turns"), column("factor")),
  },
};

const hue: AugmentOperation = {
  doc: "tf.image.adjust_hue",
  columns: ["turns"],
  draw: (ctx) => [drawBetween(ctx, -ctx.strength, ctx.strength)],
  emit: ({ b, x, column }) => adjustHue(b, x, column("turns")),
};

const autocontrast: AugmentOperation = {
  doc: "clip((x - mean) / (max(x - mean) + 0.01)), mean and max over the whole image",
  columns: ["apply"],
  draw: (ctx) => [drawChoice(ctx) ? 1 : 0],
  isDrawn: (ctx) => isSet(ctx, "apply"),
  emit: (ctx) => {
    const { b, x } = ctx;
    const shifted = b.sub(x, b.reduceMean(x, [1, 2, 3], 1));
    const most = b.emit("ReduceMax", [shifted, b.ints([1, 2, 3])], { keepdims: 1 });
    return b.where(isSet(ctx, "apply"), clip(b, b.div(shifted, b.add(most, b.scalar(0.01))), 0, 1), x);
  },
};

const dropColor: AugmentOperation = {
  doc: "the plain mean of the channels, not their luminance, in place of each",
  columns: ["apply"],
  draw: (ctx) => [drawChoice(ctx) ? 1 : 0],
  emit: (ctx) => ctx.b.where(isSet(ctx, "apply"), ctx.b.reduceMean(ctx.x, [1], 1), ctx.x),
};

export const COLOURS = {
  solarize,
  brightness_delta: brightness,
  contrast_delta: contrast,
  saturation_delta: saturation,
  hue_delta: hue,
  autocontrast,
  drop_color: dropColor,
};
