// A grey rectangle over a part of the image.
import type { Value } from "../ir/types.ts";
import { type AugmentOperation, drawChoice, drawInteger, type FragmentContext, ramp } from "./operation.ts";

/** Whether start <= pixel < start + length, as 1 and 0, along one axis. */
function isCovered({ b, column }: FragmentContext, pixels: Value, start: string, length: string): Value {
  const offset = b.sub(pixels, column(start));
  const isAfter = b.cast(b.emit("GreaterOrEqual", [offset, b.scalar(0)]), "float32");
  return b.mul(isAfter, b.cast(b.emit("Less", [offset, column(length)]), "float32"));
}

const mask: AugmentOperation = {
  doc: "a rectangle of 0.5: H/20 to H/2 high and (as in patchwork) H/20 to W/2 wide, upper bounds excluded",
  columns: ["row", "column", "height", "width"],
  draw: (ctx) => {
    if (!drawChoice(ctx)) return [0, 0, 0, 0];
    const least = Math.floor(ctx.height / 20);
    const height = drawInteger(ctx, least, Math.floor(ctx.height / 2));
    const width = drawInteger(ctx, least, Math.floor(ctx.width / 2));
    const column = drawInteger(ctx, 0, ctx.width - width);
    return [drawInteger(ctx, 0, ctx.height - height), column, height, width];
  },
  emit: (ctx) => {
    const { b, x } = ctx;
    const rows = isCovered(ctx, ramp(b, ctx.height, [1, 1, ctx.height, 1]), "row", "height");
    const columns = isCovered(ctx, ramp(b, ctx.width, [1, 1, 1, ctx.width]), "column", "width");
    const isMasked = b.emit("Greater", [b.mul(rows, columns), b.scalar(0.5)]);
    return b.where(isMasked, b.scalar(0.5), x);
  },
};

export const OCCLUSION = { mask };
