// Merges nodes that compute the same thing from the same values: same operator, attributes and inputs (in any order
// for commutative operators). Random operators are left alone.
import { rewriteGraph } from "../ir/rewrite.ts";
import type { Node, Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

export const commonSubexpressions: Pass = {
  name: "common-subexpressions",
  run: (graph, ops) => {
    const known = new Map<string, readonly Value[]>();
    const result = rewriteGraph(graph, ops, (node) => {
      if (node.op.traits.includes("random")) return undefined;
      const key = expressionKey(node);
      const same = known.get(key);
      if (same === undefined) known.set(key, node.outputs);
      return same;
    });
    return result.changed ? result.graph : graph;
  },
};

function expressionKey(node: Node): string {
  const inputs = node.inputs.map((input) => input?.name ?? "");
  if (node.op.traits.includes("commutative")) inputs.sort();
  const attrs = Object.entries(node.attrs).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([node.op.name, node.outputs.length, inputs, attrs]);
}
