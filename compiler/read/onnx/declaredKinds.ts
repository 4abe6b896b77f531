// What PyTorch's dynamo exporter writes beside the initializers of a file: which were parameters, which
// buffers, and from which other tensors its optimiser computed the rest. Source of the keys:
// torch/onnx/_internal/exporter (metadata of torch.export's graph signature), onnxscript's constant folding.
import type { GraphProto } from "../../codec/onnxSchema.ts";
import type { TensorKind } from "../../ir/tensorSource.ts";

const SIGNATURE = "pkg.torch.export.graph_signature.InputSpec.kind";
const FOLDED = "pkg.onnxscript.optimizer.folded_from";
const KINDS: ReadonlyMap<string, TensorKind> = new Map([
  ["PARAMETER", "parameter"],
  ["BUFFER", "buffer"],
  ["CONSTANT_TENSOR", "buffer"],
]);
/** Names that the exporter gives to constants of the arithmetic. */
const NUMBERED = /^val_\d+$/;

/** Kinds by the name of the initializer; nothing for files that do not say. */
export function declaredKinds(graph: GraphProto): ReadonlyMap<string, TensorKind> {
  const kinds = new Map<string, TensorKind>();
  for (const { name, metadataProps = [] } of graph.valueInfo ?? [])
    for (const { key, value } of metadataProps) {
      const kind = key === SIGNATURE ? KINDS.get(value) : key === FOLDED ? foldedKind(value) : undefined;
      if (kind) kinds.set(name, kind);
    }
  return kinds;
}

/** What was computed from numbered values alone is arithmetic; else a parameter may be among them. */
function foldedKind(list: string): TensorKind | undefined {
  const names = [...list.matchAll(/'([^']*)'/g)].map(([, name = ""]) => name);
  return names.length > 0 && names.every((name) => NUMBERED.test(name)) ? "constant" : undefined;
}
