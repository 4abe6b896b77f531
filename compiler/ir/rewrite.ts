// Rewriting: walks a graph in order and lets a rule replace nodes. The result is a new graph; values that no
// rule touched keep their identity and name.
import { GraphBuilder } from "./builder.ts";
import type { OpTable } from "./op.ts";
import type { Graph, Node, Value } from "./types.ts";

/**
 * Replaces a node, whose inputs are mapped already, by values made with `b` (one for each output), or keeps
 * it (undefined). What is emitted takes the node's origin.
 */
export type RewriteRule = (node: Node, b: GraphBuilder) => readonly Value[] | undefined;

export function rewriteGraph(
  graph: Graph,
  ops: OpTable,
  rule: RewriteRule,
): { readonly graph: Graph; readonly changed: boolean } {
  const b = new GraphBuilder(graph.name, ops);
  b.reserveNames(graph);
  for (const input of graph.inputs) b.adoptInput(input);
  for (const [value, data] of graph.constants) b.adoptConstant(value, data);
  const replaced = new Map<Value, Value>();
  const current = (value: Value): Value => replaced.get(value) ?? value;
  for (const node of graph.nodes) {
    const inputs = node.inputs.map((input) => input && current(input));
    const same = inputs.every((input, i) => input === node.inputs[i]);
    const mapped = same ? node : { ...node, inputs };
    const values = b.within(node.outputs[0]?.origin ?? graph.name, () => rule(mapped, b));
    if (!values) b.adoptNode(mapped);
    else
      node.outputs.forEach((output, i) => {
        const value = values[i];
        if (value) replaced.set(output, value);
      });
  }
  for (const { name, value } of graph.outputs) b.output(name, current(value));
  return { graph: b.build(), changed: replaced.size > 0 };
}
