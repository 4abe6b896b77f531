// What stock ONNX Runtime gets wrong and how a graph is written so that it does not: rewrites that change
// no result.
import type { OpTable } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Node, Value } from "../ir/types.ts";

/**
 * ORT 1.29 fuses a constant Pad into the pooling behind it and then pads with -infinity (MaxPool) or leaves
 * the zeros out of the mean; it does not where the Pad names its axes, so those before a pooling name them
 * all.
 */
export function guardPads(graph: Graph, ops: OpTable): Graph {
  const pooled = new Set<Value>();
  for (const node of graph.nodes)
    if (node.op.traits.includes("pools") && node.inputs[0]) pooled.add(node.inputs[0]);
  const isUnguarded = (node: Node): boolean => {
    const [y] = node.outputs;
    return node.op.name === "Pad" && y !== undefined && pooled.has(y) && node.inputs[3] === undefined;
  };
  if (!graph.nodes.some(isUnguarded)) return graph;
  return rewriteGraph(graph, ops, (node, b) => {
    if (!isUnguarded(node)) return undefined;
    const [x, pads, value] = node.inputs;
    const axes = b.ints(Array.from({ length: x?.type.shape.length ?? 0 }, (_, axis) => axis));
    return [b.emit(node.op.name, [x, pads, value, axes], node.attrs)];
  }).graph;
}
