// Merges nodes that compute the same thing from the same values: same operator, attributes (given or by
// default) and inputs (in any order for commutative operators). The first of them stays, and brings all
// outputs that any of them has: a pooling and the same pooling with indices become one. Random operators are
// left alone.
import { rewriteGraph } from "../ir/rewrite.ts";
import type { AttrValue, Graph, Node, Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

export const commonSubexpressions: Pass = {
  name: "common-subexpressions",
  run: (graph, ops) => {
    const merged = mergedOutputs(graph);
    const result = rewriteGraph(graph, ops, (node, b) => {
      const outputs = node.outputs[0] && merged.get(node.outputs[0]);
      if (!outputs) return undefined;
      if (outputs[0] !== node.outputs[0]) return outputs.slice(0, node.outputs.length);
      if (outputs.length === node.outputs.length) return undefined;
      b.adoptNode({ ...node, outputs });
      return node.outputs;
    });
    return result.changed ? result.graph : graph;
  },
};

/** For the first output of each node: the outputs of the one node that is to stand for it and its equals. */
function mergedOutputs(graph: Graph): Map<Value, readonly Value[]> {
  const groups = new Map<string, Value[]>();
  const merged = new Map<Value, readonly Value[]>();
  const standsFor = new Map<Value, Value>();
  for (const node of graph.nodes) {
    const [first] = node.outputs;
    if (!first || node.op.traits.includes("random")) continue;
    const key = expressionKey(node, standsFor);
    const group = groups.get(key) ?? [...node.outputs];
    groups.set(key, group);
    node.outputs.forEach((output, i) => {
      group[i] ??= { ...output, origin: group[0]?.origin ?? output.origin };
      standsFor.set(output, group[i]);
    });
    merged.set(first, group);
  }
  return merged;
}

function expressionKey(node: Node, standsFor: ReadonlyMap<Value, Value>): string {
  const inputs = node.inputs.map((input) => (input ? (standsFor.get(input) ?? input).name : ""));
  if (node.op.traits.includes("commutative")) inputs.sort();
  const attrs = Object.entries(node.op.attrs).map(([name, { default: standard = null }]) =>
    attrText(node.attrs[name] ?? standard),
  );
  return JSON.stringify([node.op.name, inputs, attrs]);
}

/** Tells numbers apart that JSON does not, such as infinity and none. */
function attrText(value: AttrValue | null): string {
  return typeof value === "object" && value !== null ? `[${value.join()}]` : `${typeof value} ${value}`;
}
