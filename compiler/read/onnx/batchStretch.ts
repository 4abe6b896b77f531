// Values that are the same for every image, repeated for each image of a batch whose size is known only
// when the graph runs: class tokens, position grids, zeros of the batch's size.
import { InternalError } from "../../diagnostics.ts";
import { dimAt } from "../../ir/dims.ts";
import { concreteShape, type Value } from "../../ir/types.ts";
import type { ImportContext } from "./nodeCall.ts";

/** Where the batch comes to lie in an axis of `before` * `after` elements: before x N x after. */
export interface Stretch {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

/**
 * x [.., before * after, ..] -> [.., before * N * after, ..], repeated N times in between. N is the batch of
 * `source`. Written as a choice between x and x by a condition of N elements, which no number of x or of the
 * image can change: Expand would need a shape that is no constant.
 */
export function stretchToBatch(
  ctx: ImportContext,
  x: Value,
  stretch: Stretch,
  source: Value | undefined,
): Value {
  const { b } = ctx;
  const { axis, before, after } = stretch;
  const shape = concreteShape(x.type.shape);
  const isWhole = before === 1 && after === 1;
  const inner = shape.slice(axis + 1);
  const single = isWhole ? x : b.reshape(x, [...shape.slice(0, axis), before, 1, after, ...inner]);
  const flags = batchFlags(ctx, source, 1 + (isWhole ? 0 : 1) + inner.length);
  const repeated = b.where(flags, single, single);
  return isWhole ? repeated : b.reshape(repeated, [...shape.slice(0, axis), -1, ...inner]);
}

/** bool [N,1,..,1] of `rank` dimensions, all false. */
function batchFlags(ctx: ImportContext, source: Value | undefined, rank: number): Value {
  const { b, batch, image } = ctx;
  const from = source?.type.shape.includes(batch) ? source : image;
  if (!from) throw new InternalError("nothing has the batch that is asked for");
  const key = `${from.name} ${rank}`;
  const known = ctx.batchFlags.get(key);
  if (known) return known;
  const { shape } = from.type;
  const others = shape.flatMap((dim, axis) => (dim !== batch && dimAt(dim, 1) !== 1 ? [axis] : []));
  const [zeros, ones] = [others.map(() => 0), others.map(() => 1)];
  const single = others.length === 0 ? from : b.slice(from, zeros, ones, others);
  const column = b.reshape(b.cast(single, "float32"), [-1, ...Array.from({ length: rank - 1 }, () => 1)]);
  const flags = b.emit("Less", [column, column]);
  ctx.batchFlags.set(key, flags);
  return flags;
}
