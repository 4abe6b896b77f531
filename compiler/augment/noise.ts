// Operations that need a random number for each pixel. The graph holds a pool of normal numbers, and an
// image's noise is cos(a) times one stretch of it plus sin(a) times another: normal again, and different for
// every image, though the host draws three numbers only.
import { hashName, philox4x32 } from "../codec/philox.ts";
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  type DrawContext,
  drawBetween,
  drawChoice,
  drawInteger,
  type FragmentContext,
  type ImageSize,
} from "./operation.ts";

const NOISE_DEVIATION = 0.1;
/** 70 % of normal numbers are below this. */
const SEVENTY_PERCENT = 0.5244005127080407;
/** Numbers in the pool beside those of one image. */
const SPARE_NUMBERS = 2 ** 19;
const POOL_NAME = "augment/noise_pool";

/** Rows (of the image's width) in the pool: stretches begin at any of the first `starts`. */
function poolRows({ height, width, channels }: ImageSize): { rows: number; starts: number } {
  const starts = Math.ceil(SPARE_NUMBERS / width);
  return { rows: starts + height * channels, starts };
}

/** Standard normal numbers (Box and Muller) from counters, float32: the same for every spec. */
function normalNumbers(count: number): Float32Array {
  const words = new Uint32Array(4);
  const purpose = hashName(POOL_NAME);
  const pool = new Float32Array(count);
  const uniform = (word: number): number => ((words[word] ?? 0) + 0.5) / 2 ** 32;
  for (let i = 0; i < count; i += 4) {
    philox4x32(words, i / 4, 0, 0, purpose, 0, 0);
    for (const pair of [0, 2]) {
      const radius = Math.sqrt(-2 * Math.log(uniform(pair)));
      const angle = 2 * Math.PI * uniform(pair + 1);
      pool[i + pair] = radius * Math.cos(angle);
      pool[i + pair + 1] = radius * Math.sin(angle);
    }
  }
  return pool;
}

/** The pool [rows, width], made once in a graph. */
function noisePool(b: GraphBuilder, size: ImageSize): Value {
  const known = b.findConstant(POOL_NAME);
  if (known) return known;
  const shape = [poolRows(size).rows, size.width];
  const data = normalNumbers(shape.reduce((product, side) => product * side, 1));
  return b.constant({ dtype: "float32", shape, data }, POOL_NAME);
}

/** weight_0 * (a stretch of the pool) + weight_1 * (another): [N,channels,H,W]. */
function noise(ctx: FragmentContext, channels: number): Value {
  const { b, height, width } = ctx;
  const rows = channels * height;
  const offsets = b.constant({
    dtype: "int64",
    shape: [1, rows],
    data: Float64Array.from({ length: rows }, (_, i) => i),
  });
  const stretch = (start: string): Value => {
    const first = b.cast(b.reshape(ctx.column(start), [0, 1]), "int64");
    const taken = b.emit("Gather", [noisePool(b, ctx), b.add(first, offsets)], { axis: 0 });
    return b.reshape(taken, [0, channels, height, width]);
  };
  const [one, other] = [stretch("row_0"), stretch("row_1")];
  return b.add(b.mul(one, ctx.column("weight_0")), b.mul(other, ctx.column("weight_1")));
}

const NOISE_COLUMNS = ["row_0", "row_1", "weight_0", "weight_1"];

function drawNoise(ctx: DrawContext, deviation: number): number[] {
  const { starts } = poolRows(ctx);
  const rows = [drawInteger(ctx, 0, starts), drawInteger(ctx, 0, starts)];
  const angle = drawBetween(ctx, 0, 2 * Math.PI);
  return [...rows, deviation * Math.cos(angle), deviation * Math.sin(angle)];
}

const gaussianNoise: AugmentOperation = {
  doc: "x + normal numbers of deviation 0.1, one for each pixel and channel",
  columns: NOISE_COLUMNS,
  draw: (ctx) => (drawChoice(ctx) ? drawNoise(ctx, NOISE_DEVIATION) : [0, 0, 0, 0]),
  isDrawn: ({ b, column }) => {
    const [one, other] = [column("weight_0"), column("weight_1")];
    return b.emit("Greater", [b.add(b.mul(one, one), b.mul(other, other)), b.scalar(0)]);
  },
  emit: (ctx) => ctx.b.add(ctx.x, noise(ctx, ctx.channels)),
};

const pixelMask: AugmentOperation = {
  doc: "keeps 30 % of the pixels, the same in all channels: where the noise is above what 70 % of it is below",
  columns: [...NOISE_COLUMNS, "threshold"],
  draw: (ctx) => (drawChoice(ctx) ? [...drawNoise(ctx, 1), SEVENTY_PERCENT] : [0, 0, 0, 0, -1]),
  isDrawn: ({ b, column }) => b.emit("Greater", [column("threshold"), b.scalar(0)]),
  emit: (ctx) => {
    const { b, x } = ctx;
    const isKept = b.emit("Greater", [noise(ctx, 1), ctx.column("threshold")]);
    return b.where(isKept, x, b.scalar(0));
  },
};

export const NOISE = { gaussian_noise: gaussianNoise, pixel_mask: pixelMask };
