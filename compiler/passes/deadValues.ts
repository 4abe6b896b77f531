// Removes nodes and constants that no output needs. Inputs stay: they are the graph's contract.
import type { Graph, Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

export const deadValues: Pass = {
  name: "dead-values",
  run: (graph: Graph): Graph => {
    const needed = new Set<Value>(graph.outputs.map((output) => output.value));
    const nodes = graph.nodes.toReversed().filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      for (const input of node.inputs) if (input) needed.add(input);
      return true;
    });
    const constants = [...graph.constants].filter(([value]) => needed.has(value));
    if (nodes.length === graph.nodes.length && constants.length === graph.constants.size) return graph;
    return { ...graph, nodes: nodes.reverse(), constants: new Map(constants) };
  },
};
