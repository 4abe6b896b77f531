// Where the constants of a foreign graph end up: which node reads them in which place, directly or through
// nodes that compute from constants alone, and whether that is before the network's first layer. Operators
// are looked up by name in tables here, as the importer's rules are.
import type { OpName } from "../ir/opNames.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import type { ParameterRole } from "./parameters.ts";

/** An input of a node. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** What parameters are in the places of the operators that have some. */
const PLACES: Readonly<Partial<Record<OpName, readonly (ParameterRole | undefined)[]>>> = {
  Conv: [undefined, "kernel", "bias"],
  ConvTranspose: [undefined, "kernel", "bias"],
  Gemm: ["kernel", "kernel", "bias"],
  MatMul: ["kernel", "kernel"],
  Einsum: ["kernel", "kernel", "kernel"],
  BatchNormalization: [undefined, "norm_scale", "norm_bias", "running_mean", "running_var"],
  InstanceNormalization: [undefined, "norm_scale", "norm_bias"],
  LayerNormalization: [undefined, "norm_scale", "norm_bias"],
  PRelu: [undefined, "bias"],
  // Rows of a table: embeddings.
  Gather: ["bias"],
};

/** Inputs that steer an operator: bounds, factors, exponents, what a border is filled with. */
const STEERING: Readonly<Partial<Record<OpName, readonly number[]>>> = {
  Resize: [1, 2, 3],
  Pad: [1, 2, 3],
  Clip: [1, 2],
  Pow: [1],
  OneHot: [1, 2],
  GridSample: [1],
  Mod: [1],
};

/** Norms over each channel of an image; operators that draw a root. */
const INSTANCE_NORMS: ReadonlySet<OpName> = new Set<OpName>(["InstanceNormalization"]);
const ROOTS: ReadonlySet<OpName> = new Set<OpName>(["Sqrt"]);

/** Whether the input is the filters of a convolution. */
export function isFilterPlace({ node, index }: Use): boolean {
  return index === 1 && node.op.traits.includes("convolves");
}

/** What a parameter is that stands in this place of its operator; undefined where none is expected. */
export function placeOf({ node, index }: Use): ParameterRole | undefined {
  return PLACES[node.op.name]?.[index];
}

/** Whether the input only steers the operator, or nothing can be learned through it. */
export function isSteering({ node, index }: Use): boolean {
  return hasNoDerivative(node) || (STEERING[node.op.name]?.includes(index) ?? false);
}

/** Comparisons, rounding: what comes of them does not follow their inputs. */
function hasNoDerivative({ op: { vjp } }: Node): boolean {
  return "notDifferentiable" in vjp && vjp.isZero;
}

/** Whether an operator computes one tensor from one: a function, not an operation of two. */
export function isFunction({ op, inputs }: Node): boolean {
  return op.axes === "elementwise" && inputs.filter((input) => input !== undefined).length === 1;
}

export class TensorUses {
  readonly #consumers = new Map<Value, Use[]>();
  readonly #makers = new Map<Value, Node>();
  /** Constants, and what is computed from them alone. */
  readonly #fixed: Set<Value>;
  /** The image, and what arithmetic on its pixels gives. */
  readonly #pixels: Set<Value>;

  constructor(graph: Graph) {
    this.#fixed = new Set(graph.constants.keys());
    this.#pixels = new Set(graph.inputs);
    for (const node of graph.nodes) {
      const inputs = node.inputs.filter((input) => input !== undefined);
      node.inputs.forEach((input, index) => {
        if (!input) return;
        const known = this.#consumers.get(input);
        if (known) known.push({ node, index });
        else this.#consumers.set(input, [{ node, index }]);
      });
      const isFixed = inputs.every((input) => this.#fixed.has(input));
      const { traits, axes } = node.op;
      const isArithmetic = axes === "elementwise" || traits.includes("movesData");
      const isLayer = node.inputs.some(
        (input, index) => input && this.#fixed.has(input) && placeOf({ node, index }),
      );
      const isOfPixels =
        !isFixed &&
        isArithmetic &&
        !hasNoDerivative(node) &&
        !isLayer &&
        inputs.every((input) => this.#fixed.has(input) || this.#pixels.has(input));
      for (const output of node.outputs) {
        this.#makers.set(output, node);
        if (isFixed) this.#fixed.add(output);
        else if (isOfPixels) this.#pixels.add(output);
      }
    }
  }

  /** The nodes that read a value themselves. */
  direct(value: Value): readonly Use[] {
    return this.#consumers.get(value) ?? [];
  }

  /** The inputs through which a constant reaches what depends on the image. */
  final(constant: Value): readonly Use[] {
    const uses: Use[] = [];
    const seen = new Set<Value>([constant]);
    const pending = [constant];
    for (let value = pending.pop(); value; value = pending.pop())
      for (const use of this.direct(value)) {
        const { outputs } = use.node;
        if (!outputs.every((output) => this.#fixed.has(output))) uses.push(use);
        else
          for (const output of outputs)
            if (!seen.has(output)) {
              seen.add(output);
              pending.push(output);
            }
      }
    return uses;
  }

  /** Whether a use is arithmetic on the pixels, before the first layer. */
  isOnPixels({ node }: Use): boolean {
    return node.outputs.every((output) => this.#pixels.has(output));
  }

  /** Whether a use is the scale or shift of a group norm: instance norm of [N,C,H,W] as [N,groups,pixels]. */
  isOfGroups({ node, index }: Use): boolean {
    const [x] = node.inputs;
    const isReshaped = x?.type.shape.length === 3 && this.#makers.get(x)?.op.traits.includes("movesData");
    return INSTANCE_NORMS.has(node.op.name) && index > 0 && isReshaped === true;
  }

  /** Whether a use adds to what a root is drawn of. */
  isUnderRoot({ node }: Use): boolean {
    return node.outputs.some((output) =>
      this.direct(output).some(({ node: next }) => ROOTS.has(next.op.name)),
    );
  }
}
