// Computes, with the float64 reference, every node whose inputs are all constants; results above MAX_FOLDED
// elements are left to the runtime, so that a small spec cannot fold itself into a huge file.
import { need } from "../diagnostics.ts";
import { evaluateNode, toArray } from "../ir/interpret.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import { elementCount, type Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

/** 2^24 elements: 64 MiB of float32. */
const MAX_FOLDED = 2 ** 24;

export const constantFolding: Pass = {
  name: "constant-folding",
  run: (graph, ops) => {
    const result = rewriteGraph(graph, ops, (node, b) => {
      const isReady = node.inputs.every((input) => input === undefined || b.constantData(input));
      if (!isReady || node.op.traits.includes("random")) return undefined;
      const data = node.inputs.map((input) => b.constantData(input));
      if (node.outputs.some((output) => elementCount(output.type.shape) > MAX_FOLDED)) return undefined;
      const constants = new Map(
        node.inputs.flatMap((input, i) => (input && data[i] ? [[input, data[i]] as const] : [])),
      );
      const read = (value: Value) => toArray(need(constants.get(value), value.name));
      const results = evaluateNode(node, read, constants);
      return results.map(({ dtype, shape, data: numbers }) => b.constant({ dtype, shape, data: numbers }));
    });
    return result.changed ? result.graph : graph;
  },
};
