// Graphs as plain data, so that two of them can be compared whatever objects their values are.
import type { Graph, Value } from "../../compiler/ir/types.ts";

/** Everything that a graph says, in its order; numbers of constants as plain lists. */
export function plainGraph(graph: Graph): unknown {
  return {
    name: graph.name,
    inputs: graph.inputs.map(plainValue),
    constants: [...graph.constants].map(([value, { dtype, shape, data }]) => ({
      ...plainValue(value),
      data: { dtype, shape: [...shape], numbers: Array.from(data) },
    })),
    nodes: graph.nodes.map(({ op, inputs, outputs, attrs }) => ({
      op: op.name,
      inputs: inputs.map((input) => input?.name ?? null),
      outputs: outputs.map(plainValue),
      attrs: { ...attrs },
    })),
    outputs: graph.outputs.map(({ name, value }) => ({ name, value: value.name })),
  };
}

function plainValue({ name, type, origin }: Value) {
  return { name, dtype: type.dtype, shape: [...type.shape], origin };
}
