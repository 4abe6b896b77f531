// Rewriting: walks a graph in order and lets a rule replace nodes. The result is a new graph; values that no
// rule touched keep their identity and name.
import { GraphBuilder } from "./builder.ts";
import type { OpTable } from "./op.ts";
import type { Graph, Node, Value } from "./types.ts";

/**
 * Replaces a node, whose inputs are mapped already, by values made with `b` (one for each output), or keeps
 * it (undefined). What is emitted takes the node's origin and region.
 */
export type RewriteRule = (node: Node, b: GraphBuilder) => readonly Value[] | undefined;

/** The rewritten graph, or the same one where the rule replaced nothing. */
export function rewriteGraph(
  graph: Graph,
  ops: OpTable,
  rule: RewriteRule,
): { readonly graph: Graph; readonly changed: boolean } {
  const b = GraphBuilder.rewriting(graph, ops);
  const replaced = new Map<Value, Value>();
  for (const node of graph.nodes) {
    const mapped = withInputs(node, replaced);
    const { origin = graph.name, region } = node.outputs[0] ?? {};
    const values = b.within(origin, () => rule(mapped, b), region);
    if (!values) b.adoptNode(mapped);
    else
      node.outputs.forEach((output, i) => {
        const value = values[i];
        if (value) replaced.set(output, value);
      });
  }
  if (replaced.size === 0) return { graph, changed: false };
  for (const { name, value, role } of graph.outputs) b.output(name, replaced.get(value) ?? value, role);
  return { graph: b.build(), changed: true };
}

/** The node on what stands for its inputs now; itself where that is the same. */
function withInputs(node: Node, replaced: ReadonlyMap<Value, Value>): Node {
  if (!node.inputs.some((input) => input && replaced.has(input))) return node;
  return { ...node, inputs: node.inputs.map((input) => input && (replaced.get(input) ?? input)) };
}
