// The order of a graph's exchanges with other processes. ONNX Runtime may run nodes that do not depend on
// each other in any order, and not the same one on every machine: two processes would take each other's
// numbers for something else. So each exchange waits for the one before it.
import type { OpTable } from "../ir/op.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Graph, Value } from "../ir/types.ts";

/** The graph with every exchange behind the one before it; itself where there are fewer than two. */
export function orderCollectives(graph: Graph, ops: OpTable): Graph {
  let before: Value | undefined;
  return rewriteGraph(graph, ops, ({ op, inputs, attrs, outputs }, b) => {
    if (!op.traits.includes("collective")) return undefined;
    const result = before ? [b.emit(op.name, [inputs[0], before], attrs)] : undefined;
    before = result?.[0] ?? outputs[0];
    return result;
  }).graph;
}
