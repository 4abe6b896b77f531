// What an augmentation operation is: one object with the columns of its parameters, how the host draws them,
// and its piece of the graph. All randomness is in the columns; the graph holds no random operator.
// Images are float32 [N,C,H,W], nominally in [0, 1] (some operations overshoot; the end of the graph clips).
import type { GraphBuilder } from "../ir/builder.ts";
import type { Value } from "../ir/types.ts";
import type { AugmentName } from "../spec/augmentKeys.ts";

/** Size of the images that are augmented. */
export interface ImageSize {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** What a piece of the graph is made from. */
export interface FragmentContext extends ImageSize {
  readonly b: GraphBuilder;
  /** The images so far, float32 [N,C,H,W]. */
  readonly x: Value;
  /** A column of the operation by its name, float32 [N,1,1,1]. */
  readonly column: (name: string) => Value;
}

/** What the parameters of one image are drawn from. */
export interface DrawContext extends ImageSize {
  /** The next number of the image's stream for this operation, uniform in [0, 1). */
  readonly uniform: () => number;
  /** The operation's number in the spec. */
  readonly strength: number;
}

/**
 * Mirrorings that the images still need: along rows (upside down) and along columns, 1 or 0 for each image,
 * float32 [N,1,1,1]. A zoom does them on its way, at no cost.
 */
export interface Mirrorings {
  readonly rows?: Value | undefined;
  readonly columns?: Value | undefined;
}

/** Images, and the mirrorings that they still need. */
export interface Mirrored {
  readonly x: Value;
  readonly mirrorings: Mirrorings;
}

/** What all operations have. */
export interface OperationFacts {
  /** Where the formula comes from, and what is odd about it. */
  readonly doc: string;
  /** Names of the parameters of an image, in the order in which `draw` gives them. */
  readonly columns: readonly string[];
  /** Draws the parameters of one image. */
  readonly draw: (ctx: DrawContext) => readonly number[];
  /**
   * Whether an image's parameters change it at all, bool [N,1,1,1]: set where it pays to gather those that
   * do, even on a CPU's cheap terms, and to leave the others out.
   */
  readonly isDrawn?: (ctx: Omit<FragmentContext, "x">) => Value;
}

/** An operation takes images as they are, or, where it can put mirrorings off or do them, with those. */
export type AugmentOperation = OperationFacts &
  (
    | {
        /** Emits the operation and returns the images after it, float32 [N,C,H,W]. */
        readonly emit: (ctx: FragmentContext) => Value;
        /** The operation and the one after it in one go, where that is cheaper. */
        readonly withNext?: {
          readonly next: AugmentName;
          readonly emit: (ctx: FragmentContext, nextColumn: FragmentContext["column"]) => Value;
        };
      }
    | { readonly emitMirrored: (ctx: FragmentContext, before: Mirrorings) => Mirrored }
  );

/** Mirrors the images where they still need it. */
export function mirror({ b, height, width }: Omit<FragmentContext, "x" | "column">, images: Mirrored): Value {
  const { rows, columns } = images.mirrorings;
  const along = (x: Value, flag: Value | undefined, axis: number, size: number): Value => {
    if (!flag) return x;
    const reversed = b.slice(x, [-1], [-size - 1], [axis], [-1]);
    return b.where(b.emit("Greater", [flag, b.scalar(0.5)]), reversed, x);
  };
  return along(along(images.x, rows, 2, height), columns, 3, width);
}

/** Numbers 0 to size - 1 in the given shape, counted from the other end where the flag is 1. */
export function pixelNumbers(
  b: GraphBuilder,
  size: number,
  shape: readonly number[],
  flag: Value | undefined,
): Value {
  const pixels = ramp(b, size, shape);
  if (!flag) return pixels;
  const ahead = numbers(
    b,
    shape,
    Float64Array.from({ length: size }, (_, i) => size - 1 - 2 * i),
  );
  return b.add(pixels, b.mul(flag, ahead));
}

/** A number in [from, to). */
export function drawBetween({ uniform }: DrawContext, from: number, to: number): number {
  return from + uniform() * (to - from);
}

/** An integer in [from, to); `from` where that is empty. */
export function drawInteger({ uniform }: DrawContext, from: number, to: number): number {
  return from + Math.floor(uniform() * Math.max(to - from, 0));
}

/** Whether an operation with a chance is applied. */
export function drawChoice({ uniform, strength }: DrawContext): boolean {
  return uniform() < strength;
}

/** Whether a column holds more than a half: bool [N,1,1,1]. */
export function isSet(ctx: Pick<FragmentContext, "b" | "column">, column: string): Value {
  return ctx.b.emit("Greater", [ctx.column(column), ctx.b.scalar(0.5)]);
}

/** Clips to [least, most]. */
export function clip(b: GraphBuilder, x: Value, least: number, most: number): Value {
  return b.emit("Clip", [x, b.scalar(least), b.scalar(most)]);
}

/** A float32 constant. */
export function numbers(b: GraphBuilder, shape: readonly number[], data: Iterable<number>): Value {
  return b.constant({ dtype: "float32", shape, data: Float64Array.from(data) });
}

/** 0, 1, ... size - 1 as a float32 constant of the given shape. */
export function ramp(b: GraphBuilder, size: number, shape: readonly number[]): Value {
  return numbers(
    b,
    shape,
    Float64Array.from({ length: size }, (_, i) => i),
  );
}

/** left x right^T applied to each channel: [N,1,P,H] and [N,1,Q,W] on [N,C,H,W] give [N,C,P,Q]. */
export function applyToSides(b: GraphBuilder, rows: Value, x: Value, columns: Value): Value {
  const turned = b.transpose(columns, [0, 1, 3, 2]);
  return b.emit("MatMul", [b.emit("MatMul", [rows, x]), turned]);
}
