// How many bytes a training step moves: what each operator of its final graphs reads and writes, once. On a
// device most operators wait for memory, so that this over its bandwidth is the least time of a step.
import type { CompileOptions } from "../../compiler/compile.ts";
import { dtypeBytes, elementCount, type Graph, type Value } from "../../compiler/ir/types.ts";

/** Operators that ONNX Runtime carries out without touching the numbers. */
const VIEWS = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"]);

/** Bytes that a graph of known shapes moves. */
export function trafficBytes({ nodes }: Graph): number {
  const bytes = ({ type }: Value): number => elementCount(type.shape) * dtypeBytes(type.dtype);
  let total = 0;
  for (const { op, inputs, outputs } of nodes)
    if (!VIEWS.has(op.name))
      for (const value of new Set([...inputs, ...outputs])) if (value) total += bytes(value);
  return total;
}

/** Collects the final graphs of a compilation that steps run. */
export class StepTraffic {
  readonly #graphs = new Map<string, Graph>();

  /** For CompileOptions. */
  readonly trace: NonNullable<CompileOptions["trace"]> = (stage, graph) => {
    const name = /^(train|grad|apply)\/5-final$/.exec(stage)?.[1];
    if (name !== undefined) this.#graphs.set(name, graph);
  };

  /** Bytes of a whole step of `accumulate` micro-batches. */
  bytes(accumulate: number): number {
    const of = (name: string): number => {
      const graph = this.#graphs.get(name);
      return graph ? trafficBytes(graph) : Number.NaN;
    };
    return accumulate === 1 ? of("train") : accumulate * of("grad") + of("apply");
  }
}
