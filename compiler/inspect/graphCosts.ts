// What a graph costs: floating-point operations by part of the network, and the memory of its intermediate
// values. Reads finished graphs; nothing here changes one.
import type { Sizes } from "../ir/opTraits.ts";
import {
  dtypeBytes,
  elementCount,
  type Graph,
  type Output,
  type TensorType,
  type Value,
} from "../ir/types.ts";

/** What belongs to no part of the network (image, teacher, optimizer). */
export const NO_PART = "other";

/**
 * What was derived from a node counts to the node's part. Multiplications and additions of the convolutions and matrix products by part, for the graph's batch size;
 * a multiply-add counts as 2, all other nodes as 0. Rows that only some images have count for all images;
 * a symbolic batch is E_SHAPE.
 */
export function countFlops(graph: Graph): Map<string, number> {
  const size = sizesIn(graph);
  const flops = new Map<string, number>();
  for (const node of graph.nodes) {
    const count = node.op.flops?.(node, size) ?? 0;
    const part = node.outputs[0]?.region?.part ?? NO_PART;
    if (count > 0) flops.set(part, (flops.get(part) ?? 0) + count);
  }
  return flops;
}

/**
 * Sizes with every symbol that a node of the graph introduces (how many elements are not zero) replaced by
 * the most that it can be: the elements of what the node reads.
 */
function sizesIn(graph: Graph): Sizes {
  const most = new Map<string, number>();
  const known = (shape: TensorType["shape"]): TensorType["shape"] =>
    shape.map((dim) => (typeof dim === "string" ? (most.get(dim) ?? dim) : dim));
  const given = new Set(graph.inputs.flatMap(({ type }) => type.shape));
  for (const { inputs, outputs } of graph.nodes)
    for (const dim of outputs.flatMap(({ type }) => type.shape)) {
      const isNew = typeof dim === "string" && !given.has(dim);
      const read = inputs.flatMap((input) => (input ? [input.type.shape] : []));
      if (!isNew || read.some((shape) => shape.includes(dim))) continue;
      const bound = Math.max(...read.map((shape) => elementCount(known(shape))));
      most.set(dim, Math.max(bound, most.get(dim) ?? 0));
    }
  return (value) => (value ? elementCount(known("type" in value ? value.type.shape : value)) : 0);
}

/** Bytes of one value; symbolic shapes are E_SHAPE. */
export function valueBytes({ dtype, shape }: TensorType): number {
  return elementCount(shape) * dtypeBytes(dtype);
}

/**
 * Bytes of the intermediate values that are alive at the same time, at most, when the nodes run in their
 * order and each value is released after its last use. Inputs, constants and outputs are not counted. An
 * estimate: ONNX Runtime may fuse nodes, reuse buffers in place or run in another order.
 */
export function peakActivationBytes(graph: Graph): number {
  const size = sizesIn(graph);
  const bytes = (value: Value): number => size(value) * dtypeBytes(value.type.dtype);
  const outputs = new Set(graph.outputs.map(({ value }) => value));
  const lastUse = new Map<Value, number>();
  graph.nodes.forEach((node, position) => {
    for (const value of node.outputs) lastUse.set(value, position);
    for (const input of node.inputs) if (input && lastUse.has(input)) lastUse.set(input, position);
  });
  const released = new Map<number, number>();
  for (const [value, position] of lastUse)
    if (!outputs.has(value)) released.set(position, (released.get(position) ?? 0) + bytes(value));
  let [live, peak] = [0, 0];
  graph.nodes.forEach((node, position) => {
    for (const value of node.outputs) if (!outputs.has(value)) live += bytes(value);
    peak = Math.max(peak, live);
    live -= released.get(position) ?? 0;
  });
  return peak;
}

/** Names of the graph's inputs that `output` depends on. */
export function inputsReached(graph: Graph, isWanted: (output: Output) => boolean): Set<string> {
  const needed = new Set<Value>(graph.outputs.filter(isWanted).map(({ value }) => value));
  for (const node of graph.nodes.toReversed())
    if (node.outputs.some((value) => needed.has(value)))
      for (const input of node.inputs) if (input) needed.add(input);
  return new Set(graph.inputs.filter((input) => needed.has(input)).map(({ name }) => name));
}
