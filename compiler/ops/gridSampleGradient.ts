// The gradient of GridSample in standard operators: each coordinate reads up to four pixels ("taps"), and
// each tap is a gather whose adjoint is a scatter. Letters: image x [N,C,H,W], grid [N,P,Q,2], S = P Q
// places.
import type { GraphBuilder } from "../ir/builder.ts";
import type { VjpContext } from "../ir/op.ts";
import { concreteShape, type Value } from "../ir/types.ts";
import { scalarLike } from "./elementwise.ts";

/** One axis of the grid in pixels of the image, all [N,S]. */
interface PixelAxis {
  readonly size: number;
  /** Pixel coordinates, brought inside the image where the padding mode does so. */
  readonly place: Value;
  /** d place / d grid coordinate. */
  readonly slope: Value;
}

/** One of the pixels that an axis reads: place rounded, the weight, and d weight / d place; all [N,S]. */
interface Tap {
  readonly pixel: Value;
  readonly weight: Value;
  readonly sign: 1 | -1 | 0;
}

/**
 * With taps t of weights a_t (rows) b_t (columns) at pixels k_t: dx[k_t] += dy a_t b_t; drow = sum over t,
 * c of dy x[k_t] a'_t b_t, and so on for columns; outside of the image (padding mode zeros) a tap counts
 * for nothing. Coordinates that are clamped have the derivative 0.
 */
export function differentiateGridSample(ctx: VjpContext): readonly (Value | undefined)[] {
  const { b, dy, needs, attrs } = ctx;
  const [n = 1, c = 1, height = 1, width = 1] = concreteShape(ctx.input(0).type.shape);
  const [, p = 1, q = 1] = concreteShape(ctx.input(1).type.shape);
  const places = p * q;
  const coordinates = b.reshape(ctx.input(1), [n, places, 2]);
  const axisOf = (which: 0 | 1, size: number): PixelAxis => {
    const coordinate = b.emit("Gather", [coordinates, b.scalar(which, "int64")], { axis: 2 });
    return pixelAxis(b, coordinate, size, attrs.int("align_corners") === 1, attrs.string("padding_mode"));
  };
  const [columns, rows] = [axisOf(0, width), axisOf(1, height)];
  const nearest = attrs.string("mode") === "nearest";
  const image = b.reshape(ctx.input(0), [n, c, height * width]);
  const cotangent = b.reshape(dy, [n, c, places]);
  let dImage = b.expand(b.scalar(0, dy.type.dtype), [n, c, height * width]);
  const zero = b.expand(b.scalar(0, dy.type.dtype), [n, places]);
  let [dRow, dColumn] = [zero, zero];
  for (const row of tapsOf(b, rows, nearest))
    for (const column of tapsOf(b, columns, nearest)) {
      const [h, isRow] = insideOf(b, row.pixel, height);
      const [w, isColumn] = insideOf(b, column.pixel, width);
      const inside = b.mul(isRow, isColumn);
      const flat = b.add(b.mul(h, scalarLike(b, width, h)), w);
      const index = b.expand(b.reshape(b.cast(flat, "int64"), [n, 1, places]), [n, c, places]);
      if (needs[0]) {
        const weight = b.reshape(b.mul(b.mul(row.weight, column.weight), inside), [n, 1, places]);
        const updates = b.mul(cotangent, weight);
        dImage = b.emit("ScatterElements", [dImage, index, updates], { axis: 2, reduction: "add" });
      }
      if (!needs[1] || nearest) continue;
      const pixels = b.emit("GatherElements", [image, index], { axis: 2 });
      const slope = b.mul(b.reduceSum(b.mul(cotangent, pixels), [1], 0), inside);
      dRow = b.add(dRow, signed(b, b.mul(slope, column.weight), row.sign));
      dColumn = b.add(dColumn, signed(b, b.mul(slope, row.weight), column.sign));
    }
  const asGrid = (value: Value, { slope }: PixelAxis): Value => b.reshape(b.mul(value, slope), [n, p, q, 1]);
  const dGrid = () => b.emit("Concat", [asGrid(dColumn, columns), asGrid(dRow, rows)], { axis: 3 });
  return [needs[0] ? b.reshape(dImage, [n, c, height, width]) : undefined, needs[1] ? dGrid() : undefined];
}

function pixelAxis(
  b: GraphBuilder,
  coordinate: Value,
  size: number,
  aligned: boolean,
  padding: string,
): PixelAxis {
  const number = (value: number): Value => scalarLike(b, value, coordinate);
  const scale = aligned ? (size - 1) / 2 : size / 2;
  const place = b.add(b.mul(coordinate, number(scale)), number((size - 1) / 2));
  const ones = b.expand(number(1), concreteShape(place.type.shape));
  const steep = b.mul(ones, number(scale));
  if (padding === "zeros") return { size, place, slope: steep };
  const [low, span] = aligned ? [0, size - 1] : [-0.5, size];
  if (padding === "border" || span === 0) return clamped(b, { size, place, slope: steep });
  // x = |place - low| mod 2 span, then span - |x - span|: every turn changes the sign of the slope.
  const shifted = b.sub(place, number(low));
  const folded = b.emit("Mod", [b.emit("Abs", [shifted]), number(2 * span)], { fmod: 1 });
  const fromTurn = b.sub(folded, number(span));
  const inside = b.add(b.sub(number(span), b.emit("Abs", [fromTurn])), number(low));
  const turns = b.neg(b.mul(b.emit("Sign", [shifted]), b.emit("Sign", [fromTurn])));
  return clamped(b, { size, place: inside, slope: b.mul(steep, turns) });
}

/** The place held in [0, size - 1]; beyond, the slope is 0. */
function clamped(b: GraphBuilder, { size, place, slope }: PixelAxis): PixelAxis {
  const [low, high] = [scalarLike(b, 0, place), scalarLike(b, size - 1, place)];
  const held = b.emit("Min", [b.emit("Max", [place, low]), high]);
  return { size, place: held, slope: b.where(b.emit("Equal", [held, place]), slope, low) };
}

function tapsOf(b: GraphBuilder, { place }: PixelAxis, nearest: boolean): readonly Tap[] {
  const one = scalarLike(b, 1, place);
  if (nearest) {
    const ones = b.expand(one, concreteShape(place.type.shape));
    return [{ pixel: b.emit("Round", [place]), weight: ones, sign: 0 }];
  }
  const below = b.emit("Floor", [place]);
  const fraction = b.sub(place, below);
  return [
    { pixel: below, weight: b.sub(one, fraction), sign: -1 },
    { pixel: b.add(below, one), weight: fraction, sign: 1 },
  ];
}

/** The pixel held in the image, and 1 where it was inside already, else 0. */
function insideOf(b: GraphBuilder, pixel: Value, size: number): readonly [Value, Value] {
  const limits = [scalarLike(b, 0, pixel), scalarLike(b, size - 1, pixel)] as const;
  const held = b.emit("Min", [b.emit("Max", [pixel, limits[0]]), limits[1]]);
  return [held, b.cast(b.emit("Equal", [held, pixel]), pixel.type.dtype)];
}

function signed(b: GraphBuilder, value: Value, sign: Tap["sign"]): Value {
  return sign === -1 ? b.neg(value) : value;
}
