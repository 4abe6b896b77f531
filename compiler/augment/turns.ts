// Operations that move whole images about: flips, quarter turns, shear.
import type { Value } from "../ir/types.ts";
import {
  type AugmentOperation,
  drawBetween,
  drawInteger,
  type FragmentContext,
  isSet,
  type Mirrorings,
  ramp,
} from "./operation.ts";

/** One of two flags is 1, the other 0; an absent one is 0. */
function exclusiveOr({ b }: FragmentContext, one: Value, other: Value | undefined): Value {
  return other ? b.sub(b.add(one, other), b.mul(b.scalar(2), b.mul(one, other))) : one;
}

function flip(side: keyof Mirrorings): AugmentOperation {
  return {
    doc: "tf.image.random_flip_left_right, random_flip_up_down: with a chance of one half",
    columns: ["flip"],
    draw: ({ uniform }) => [uniform() < 0.5 ? 1 : 0],
    emitMirrored: (ctx, before) => ({
      x: ctx.x,
      mirrorings: { ...before, [side]: exclusiveOr(ctx, ctx.column("flip"), before[side]) },
    }),
  };
}

const rot90: AugmentOperation = {
  doc: "tf.image.rot90: quarter turns counter-clockwise. An odd number of them begins with a transposition",
  columns: ["transpose", "flip_rows", "flip_columns"],
  draw: (ctx) => {
    const turns = drawInteger(ctx, 0, 4);
    return [turns % 2, turns === 1 || turns === 2 ? 1 : 0, turns >= 2 ? 1 : 0];
  },
  emitMirrored: (ctx, before) => {
    const { b, column } = ctx;
    const isTransposed = isSet(ctx, "transpose");
    // A transposition exchanges what was to be mirrored along rows and along columns.
    const after = (flag: Value | undefined, other: Value | undefined): Value | undefined =>
      flag || other ? b.where(isTransposed, other ?? b.scalar(0), flag ?? b.scalar(0)) : undefined;
    return {
      x: b.where(isTransposed, b.transpose(ctx.x, [0, 1, 3, 2]), ctx.x),
      mirrorings: {
        rows: exclusiveOr(ctx, column("flip_rows"), after(before.rows, before.columns)),
        columns: exclusiveOr(ctx, column("flip_columns"), after(before.columns, before.rows)),
      },
    };
  },
};

const shear: AugmentOperation = {
  doc:
    "TensorFlow's ImageProjectiveTransformV2, bilinear, REFLECT (the edge is repeated): the pixel at (row, column) " +
    "is read at (row + shear_y (column - H/2), column + shear_x (row - W/2)); the sides are crossed in patchwork",
  columns: ["shear_x", "shear_y"],
  draw: (ctx) => [
    drawBetween(ctx, -ctx.strength, ctx.strength),
    drawBetween(ctx, -ctx.strength, ctx.strength),
  ],
  emit: (ctx) => {
    const { b, x, height, width } = ctx;
    const rows = ramp(b, height, [1, height, 1, 1]);
    const columns = ramp(b, width, [1, 1, width, 1]);
    const along = (shift: Value, amount: string, across: Value, centre: number): Value =>
      b.add(shift, b.mul(ctx.column(amount), b.sub(across, b.scalar(centre))));
    // Pixel p of an axis of n is at (2p + 1) / n - 1 where corners are not aligned.
    const coordinate = (pixel: Value, size: number): Value =>
      b.sub(b.mul(b.add(pixel, b.scalar(0.5)), b.scalar(2 / size)), b.scalar(1));
    const atColumn = coordinate(along(columns, "shear_x", rows, width / 2), width);
    const atRow = coordinate(along(rows, "shear_y", columns, height / 2), height);
    const grid = b.emit("Concat", [atColumn, atRow], { axis: 3 });
    return b.emit("GridSample", [x, grid], {
      mode: "bilinear",
      padding_mode: "reflection",
      align_corners: 0,
    });
  },
};

export const TURNS = { flip_left_right: flip("columns"), flip_up_down: flip("rows"), rot90, shear };
