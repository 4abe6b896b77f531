// The tensors that a training device holds: those of the state, and of the graphs that are open.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import { need } from "../../compiler/diagnostics.ts";
import type { BufferSpec } from "../ort/ortHost.ts";
import { type Alternation, replacedBy } from "./alternation.ts";

/** Every tensor by its id, on the provider's device. */
export function deviceTensors(
  { graphs, state }: Pick<Manifest, "graphs" | "state">,
  open: Iterable<string>,
  alternation: Alternation,
): Map<string, BufferSpec> {
  const place = "device";
  const buffers = new Map<string, BufferSpec>();
  const add = (
    ids: readonly string[],
    dtype: BufferSpec["dtype"],
    shape: readonly (number | string)[],
  ): void => {
    for (const id of ids) buffers.set(id, { id, dtype, shape: shape.map(Number), place });
  };
  for (const { name, dtype, shape } of state) add(alternation.idsOfState(name), dtype, shape);
  for (const graph of open) {
    const { inputs, outputs } = need(graphs[graph], `graph ${graph}`);
    for (const input of inputs)
      if (input.role !== "state") add(alternation.idsOfInput(graph, input), input.dtype, input.shape);
    for (const output of outputs)
      if (replacedBy(output) === undefined)
        add([alternation.output(graph, output)], output.dtype, output.shape);
  }
  return buffers;
}
