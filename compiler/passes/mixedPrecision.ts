// Mixed precision (Micikevicius et al., arXiv 1710.03740): a training graph computes its convolutions and
// matrix products, and what lies between them, in float16; weights, statistics, losses and updates stay
// float32, and so do regions that say it (augmentation, the optimizer). Runs before lowering, so that our own
// gradient operators are converted as a whole. Every value that becomes float16 leaves a float32 twin (a
// Cast) for whoever needs it; dead ones go later.
import type { GraphBuilder } from "../ir/builder.ts";
import { rewriteGraph } from "../ir/rewrite.ts";
import { elementCount, type Node, type Value } from "../ir/types.ts";
import type { Pass } from "./pass.ts";

export const mixedPrecision: Pass = {
  name: "mixed-precision",
  run: (graph, ops) => {
    const halves = new Halves();
    const result = rewriteGraph(graph, ops, (node, b) => {
      const hasFloat64 = node.inputs.some((input) => input?.type.dtype === "float64");
      if (hasFloat64 || node.outputs[0]?.region?.isFloat32) return undefined;
      const { precision } = node.op;
      if (typeof precision === "object")
        return halves.isBorn(node.inputs[0])
          ? inHalf(node, b, halves, precision.activations)
          : rounded(node, b, halves);
      if (precision === "rounds") return rounded(node, b, halves);
      if (precision === "halves" || (precision === "follows" && halves.flowThrough(node, b)))
        return inHalf(node, b, halves);
      halves.noteMask(node);
      return undefined;
    });
    return result.changed ? result.graph : graph;
  },
};

/** The float16 twins of float32 values. */
class Halves {
  readonly #twins = new Map<Value, Value>();
  /** Values that were computed in float16: their twin costs nothing. */
  readonly #born = new Set<Value>();
  /** Casts of a bool, which are as well made to float16. */
  readonly #masks = new Map<Value, Value>();

  /** Float32 twin of `half`, noted as computed in float16. */
  widen(b: GraphBuilder, half: Value): Value {
    const wide = b.cast(half, "float32");
    this.#twins.set(wide, half);
    this.#born.add(wide);
    return wide;
  }

  isBorn(value: Value | undefined): boolean {
    return value !== undefined && this.#born.has(value);
  }

  of(b: GraphBuilder, value: Value): Value {
    const twin = this.#twins.get(value) ?? b.cast(this.#masks.get(value) ?? value, "float16");
    this.#twins.set(value, twin);
    return twin;
  }

  noteMask(node: Node): void {
    const [from, to] = [node.inputs[0], node.outputs[0]];
    if (node.op.name === "Cast" && from?.type.dtype === "bool" && to?.type.dtype === "float32")
      this.#masks.set(to, from);
  }

  /**
   * Whether the node handles a float16 activation, and everything else that it takes has one too, is a
   * mask, a constant, or small (a bias).
   */
  flowThrough(node: Node, b: GraphBuilder): boolean {
    const floats = node.inputs.filter((input) => input?.type.dtype === "float32");
    if (!floats.some((input) => this.isBorn(input))) return false;
    const size = elementCount(node.outputs[0]?.type.shape ?? []);
    return floats.every(
      (input) =>
        input === undefined ||
        this.isBorn(input) ||
        this.#masks.has(input) ||
        b.constantData(input) !== undefined ||
        elementCount(input.type.shape) * 2 <= size,
    );
  }
}

/** The node on float16 inputs: all that are float32, or those `listed`. */
function inHalf(node: Node, b: GraphBuilder, halves: Halves, listed?: readonly number[]): readonly Value[] {
  const inputs = node.inputs.map((input, i) =>
    input?.type.dtype === "float32" && (listed?.includes(i) ?? true) ? halves.of(b, input) : input,
  );
  const outputs = b.emitAll(node.op.name, inputs, node.attrs, node.outputs.length);
  return outputs.map((output) => (output.type.dtype === "float16" ? halves.widen(b, output) : output));
}

function rounded(node: Node, b: GraphBuilder, halves: Halves): readonly Value[] {
  const [first, ...others] = b.emitAll(node.op.name, node.inputs, node.attrs, node.outputs.length);
  return first ? [halves.widen(b, b.cast(first, "float16")), ...others] : [];
}
