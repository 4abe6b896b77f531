// Per-channel views of tensors [N,C,...]: what normalisations and biases need to know about a shape.
import { concreteShape, elementCount, type Shape } from "../ir/types.ts";

/** [C,1,1] for x [N,C,H,W]: the shape in which a per-channel vector broadcasts over x. */
export function channelsFirst(shape: Shape): number[] {
  return concreteShape(shape.slice(1)).map((dim, i) => (i === 0 ? dim : 1));
}

/** Elements that each channel's statistics are taken over: N times all dims after C. */
export function pixelsPerChannel(shape: Shape): number {
  return elementCount(shape) / (concreteShape(shape)[1] ?? 1);
}
