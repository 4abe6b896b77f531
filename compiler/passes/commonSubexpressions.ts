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
    const { merged, hasEquals } = mergedOutputs(graph);
    if (!hasEquals) return graph;
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

/** The nodes of a graph with their equals. */
interface MergedNodes {
  /** By the first output of each node: the outputs of the one that stands for it and its equals. */
  readonly merged: ReadonlyMap<Value, readonly Value[]>;
  /** Whether any node has an equal. */
  readonly hasEquals: boolean;
}

function mergedOutputs(graph: Graph): MergedNodes {
  const groups = new Map<string, Value[]>();
  const merged = new Map<Value, readonly Value[]>();
  const numbers = new ValueNumbers();
  let hasEquals = false;
  for (const node of graph.nodes) {
    const [first] = node.outputs;
    if (!first || node.op.traits.includes("random")) continue;
    const key = expressionKey(node, numbers);
    const known = groups.get(key);
    hasEquals ||= known !== undefined;
    const group = known ?? [...node.outputs];
    const place = group[0] ?? first;
    if (!known) groups.set(key, group);
    node.outputs.forEach((output, i) => {
      group[i] ??= { ...output, origin: place.origin, region: place.region };
      numbers.same(output, group[i]);
    });
    merged.set(first, group);
  }
  return { merged, hasEquals };
}

/** A number for each value, the same for those that are equal. */
class ValueNumbers {
  readonly #numbers = new Map<Value, number>();

  of(value: Value): number {
    const known = this.#numbers.get(value);
    if (known !== undefined) return known;
    this.#numbers.set(value, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  same(value: Value, as: Value): void {
    this.#numbers.set(value, this.of(as));
  }
}

function expressionKey(node: Node, numbers: ValueNumbers): string {
  const inputs = node.inputs.map((input) => (input ? numbers.of(input) : -1));
  if (node.op.traits.includes("commutative")) inputs.sort((a, b) => a - b);
  let key = `${node.op.name} ${inputs.join()}`;
  for (const name in node.op.attrs)
    key += ` ${attrText(node.attrs[name] ?? node.op.attrs[name]?.default ?? null)}`;
  return key;
}

/** Tells numbers apart that JSON does not, such as infinity and none. */
function attrText(value: AttrValue | null): string {
  return typeof value === "object" && value !== null ? `[${value.join()}]` : `${typeof value} ${value}`;
}
