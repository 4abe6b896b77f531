// The nodes that every way from the image to the results passes.
import type { Graph, Node, Value } from "../../ir/types.ts";

interface Place {
  readonly node: Node | undefined;
  readonly above: Place | undefined;
  readonly depth: number;
}

/**
 * The nodes, in order, that all ways from the inputs of `graph` to `results` (its outputs) pass: the
 * dominators of the results. Each node's closest dominator is where the ways to its inputs first part,
 * walking back (Cooper, Harvey, Kennedy: "A Simple, Fast Dominance Algorithm", 2001; one sweep suffices,
 * since the graph has no cycle).
 */
export function commonNodes(
  graph: Graph,
  results: readonly Value[] = graph.outputs.map(({ value }) => value),
): readonly Node[] {
  const root: Place = { node: undefined, above: undefined, depth: 0 };
  const places = new Map<Value, Place>(graph.inputs.map((input) => [input, root]));
  const meet = (a: Place, b: Place): Place => {
    let [x, y] = [a, b];
    while (x !== y)
      if (x.depth >= y.depth) x = x.above ?? root;
      else y = y.above ?? root;
    return x;
  };
  const meetAll = (values: readonly (Value | undefined)[]): Place | undefined => {
    const known = values.map((value) => value && places.get(value)).filter((place) => place !== undefined);
    return known.length === 0 ? undefined : known.reduce(meet);
  };
  for (const node of graph.nodes) {
    const above = meetAll(node.inputs);
    if (!above) continue;
    const place = { node, above, depth: above.depth + 1 };
    for (const output of node.outputs) places.set(output, place);
  }
  const nodes: Node[] = [];
  let place = meetAll(results);
  for (; place?.node; place = place.above) nodes.push(place.node);
  return nodes.reverse();
}
