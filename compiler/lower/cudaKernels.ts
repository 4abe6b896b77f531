// Which nodes of a finished graph ONNX Runtime's CUDA provider would not run, told without a device: it runs
// those on the CPU, with copies both ways, and says nothing. From the table of its kernels, and from the
// conditions that its source adds to them (cuda_execution_provider.cc; nn/batch_norm.cc).
import type { Fault } from "../diagnostics.ts";
import type { OpName } from "../ir/opNames.ts";
import type { Graph, Node, Value } from "../ir/types.ts";
import { hasEqualPads, listAttr } from "./convolutionShapes.ts";
import { KERNEL_TABLE, WITHOUT_KERNEL } from "./cudaKernelTable.ts";

/** Kernels of one operator: type parameters of its inputs and outputs, and the types of each parameter. */
export interface KernelEntry {
  /** The operator's since-version at opset 18. */
  readonly since: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly types: ReadonlyMap<string, readonly string[]>;
}

/** The kernels of an operator; undefined where it has none. */
export function kernelEntry(operator: string): KernelEntry | undefined {
  const row = KERNEL_TABLE[operator];
  if (row === undefined) return undefined;
  const [since = "", inputs = "", outputs = "", types = ""] = row.split(" | ");
  return {
    since: Number(since),
    inputs: inputs === "" ? [] : inputs.split(" "),
    outputs: outputs.split(" "),
    types: new Map(
      types.split("; ").map((part): [string, readonly string[]] => {
        const [name = "", listed = ""] = part.split(" = ");
        return [name, listed.split(" ")];
      }),
    ),
  };
}

/** Conditions beyond types: why a node with these attributes is not run on the device, or not rightly. */
const CONDITIONS: Readonly<Partial<Record<OpName, (node: Node) => string | undefined>>> = {
  // cuDNN's description of a pooling has one pad an axis: ONNX Runtime gave it the first one (mended by its
  // pull request 29631; which release has that is not known here).
  AveragePool: (node) =>
    hasEqualPads(node) && node.attrs.ceil_mode !== 1
      ? undefined
      : `pads [${node.attrs.pads}] that are not symmetric may be wrong there`,
  // Its issue 29637.
  MaxPool: (node) =>
    isDilated(node) && listAttr(node, "pads", []).some((pad) => pad > 0)
      ? "dilation together with pads may be wrong there"
      : undefined,
  ConvTranspose: (node) =>
    hasEqualPads(node) ? undefined : `its pads [${node.attrs.pads}] are not symmetric`,
  ArgMax: lastIndex,
  ArgMin: lastIndex,
  BatchNormalization: (node) =>
    node.attrs.training_mode === 1 ? "in training form it would use the running statistics" : undefined,
  NonZero: () => "the size of its result has to be read on the host",
  ScatterElements: integerReduction,
  ScatterND: integerReduction,
  Shape: () => "it gives its result on the host, where all that follows of it would be computed",
  Size: () => "it gives its result on the host, where all that follows of it would be computed",
};

function isDilated(node: Node): boolean {
  return listAttr(node, "dilations", []).some((dilation) => dilation > 1);
}

function lastIndex(node: Node): string | undefined {
  return node.attrs.select_last_index === 1 ? "select_last_index has no kernel" : undefined;
}

function integerReduction(node: Node): string | undefined {
  const { reduction = "none" } = node.attrs;
  const dtype = node.inputs[0]?.type.dtype ?? "";
  return reduction === "none" || dtype.startsWith("float")
    ? undefined
    : `reduction ${String(reduction)} of ${dtype} is wrong there`;
}

/**
 * Every node of a finished graph that would not run on the device, as E_CUDA_KERNEL with its name, origin
 * and the reason. ONNX Runtime still runs such a graph, slowly, so a caller may warn.
 */
export function cudaKernelFaults(graph: Graph): readonly Fault[] {
  return graph.nodes.flatMap((node) => {
    const [reason] = reasonsAgainst(node, graph);
    if (reason === undefined) return [];
    const { name = node.op.name, origin = "" } = node.outputs[0] ?? {};
    return [
      {
        code: "E_CUDA_KERNEL",
        message: `graph ${graph.name}: no CUDA kernel for ${node.op.name}: ${reason}`,
        at: { node: name, origin },
        hint: "ONNX Runtime leaves it to the CPU: each step waits for copies from and to the device",
      } as const,
    ];
  });
}

function reasonsAgainst(node: Node, graph: Graph): readonly string[] {
  const { op } = node;
  const entry = kernelEntry(op.name);
  if (!entry)
    return [
      op.name in WITHOUT_KERNEL ? "ONNX Runtime has none at opset 18" : "it is not in the table of kernels",
    ];
  const condition = CONDITIONS[op.name]?.(node);
  return [
    ...typeReasons(entry, entry.inputs, node.inputs),
    ...typeReasons(entry, entry.outputs, node.outputs),
    ...(condition === undefined ? [] : [condition]),
    ...computedHostInputs(node, graph),
  ];
}

function typeReasons(
  entry: KernelEntry,
  parameters: readonly string[],
  values: readonly (Value | undefined)[],
): readonly string[] {
  return values.flatMap((value, i) => {
    const parameter = parameters[i] ?? parameters.at(-1) ?? "";
    const allowed = entry.types.get(parameter.replace("*", ""));
    return value === undefined || allowed === undefined || allowed.includes(value.type.dtype)
      ? []
      : [`none takes ${value.type.dtype} (${allowed.join(", ")})`];
  });
}

function computedHostInputs(node: Node, graph: Graph): readonly string[] {
  return node.op.hostInputs.flatMap((index) => {
    const input = node.inputs[index];
    if (input === undefined || graph.constants.has(input)) return [];
    return [
      `its input ${node.op.inputs[index]?.replace("?", "") ?? index} is computed, but read on the host`,
    ];
  });
}
