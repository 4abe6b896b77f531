// Keras sees images as [N,H,W,C], the IR as [N,C,H,W]: the axis arithmetic between the two, and the few
// places where numbers must really be reordered. Invariant: only values with four axes differ.
import type { GraphBuilder } from "../../ir/builder.ts";
import type { Shape, Value } from "../../ir/types.ts";

export type ImageLayout = "channels_last" | "channels_first";

/** Place in NCHW of each axis of NHWC. */
const STORED_AXIS = [0, 2, 3, 1] as const;
const TO_NHWC = [0, 2, 3, 1] as const;
const TO_NCHW = [0, 3, 1, 2] as const;

/** Stored axis of Keras's axis (negative: from the end); undefined if there is no such axis. */
export function storedAxis(axis: number, rank: number, layout: ImageLayout): number | undefined {
  const positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) return undefined;
  return isReordered(rank, layout) ? STORED_AXIS[positive] : positive;
}

/** Shape as Keras sees the value. */
export function kerasShape({ type: { shape } }: Value, layout: ImageLayout): Shape {
  return isReordered(shape.length, layout) ? TO_NHWC.map((axis) => shape[axis] ?? 1) : shape;
}

/** Stored shape of what Keras sees as `shape`. */
export function storedShape(shape: Shape, layout: ImageLayout): Shape {
  return isReordered(shape.length, layout) ? TO_NCHW.map((axis) => shape[axis] ?? 1) : shape;
}

/** Permutation of stored axes that Keras's permutation `perm` (with the batch axis) amounts to. */
export function storedPermutation(perm: readonly number[], layout: ImageLayout): number[] {
  if (!isReordered(perm.length, layout)) return [...perm];
  return TO_NCHW.map((axis) => STORED_AXIS[(perm[axis] ?? 0) as 0 | 1 | 2 | 3]);
}

/** Reshapes the numbers in Keras's order to Keras's shape `to` (without the batch axis). */
export function reshapeAsKeras(b: GraphBuilder, x: Value, to: readonly number[], layout: ImageLayout): Value {
  const perm = isReordered(x.type.shape.length, layout) ? TO_NHWC : undefined;
  const ordered = perm && !keepsOrder(x.type.shape, perm) ? b.transpose(x, perm) : x;
  const shape = [x.type.shape[0] ?? 1, ...to];
  const stored = storedShape(shape, layout);
  const back = isReordered(shape.length, layout) ? TO_NCHW : undefined;
  if (!back || keepsOrder(shape, back)) return reshapeKeepingBatch(b, ordered, stored);
  return b.transpose(reshapeKeepingBatch(b, ordered, shape), back);
}

function isReordered(rank: number, layout: ImageLayout): boolean {
  return rank === 4 && layout === "channels_last";
}

/** Whether the permutation moves axes of size 1 only, past which numbers keep their order. */
function keepsOrder(shape: Shape, perm: readonly number[]): boolean {
  const moved = perm.filter((axis) => shape[axis] !== 1);
  return moved.every((axis, i) => i === 0 || axis > (moved[i - 1] ?? 0));
}

function reshapeKeepingBatch(b: GraphBuilder, x: Value, shape: Shape): Value {
  if (String(shape) === String(x.type.shape)) return x;
  // 0 copies the batch size, which may be a symbol.
  return b.reshape(
    x,
    shape.map((dim, axis) => (axis === 0 ? 0 : Number(dim))),
  );
}
