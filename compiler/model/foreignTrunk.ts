// A model of another program as the feature extractor that a spec asks for: what must hold between both, and
// what is said of it.
import { MttcError } from "../diagnostics.ts";
import type { Graph } from "../ir/types.ts";
import { networkChannels } from "../spec/pixelRange.ts";
import type { ImportedFcn, ModelSpec } from "../spec/schema.ts";
import type { ImportedTrunk } from "./importedTrunk.ts";
import { type CutGraph, prepareTrunk } from "./prepareTrunk.ts";

/**
 * Prepares a trunk for a spec that names it as its fcn; `file` is for messages. E_MODEL_SHAPE where the spec
 * says another layout, or the model takes bytes where something must come before; E_CONFIG for a mean or
 * deviation that is not of the image's channels.
 */
export function foreignTrunk(
  model: CutGraph,
  spec: ModelSpec,
  settings: ImportedFcn,
  file: string,
): ImportedTrunk {
  if (settings.layout !== "auto" && settings.layout !== model.layout)
    throw new MttcError({
      code: "E_MODEL_SHAPE",
      message: `the model takes ${model.layout}, the spec says ${settings.layout}`,
      at: { file, path: "fcn.layout" },
    });
  for (const key of ["mean", "std"] as const) {
    const count = settings[key]?.length ?? 1;
    if (count !== 1 && count !== networkChannels(spec))
      throw new MttcError({
        code: "E_CONFIG",
        message: `expected one number, or ${networkChannels(spec)} (channels), found ${count}`,
        at: { path: `fcn.${key}` },
      });
  }
  const { graph } = model;
  refuseBytes(graph, { file, path: "fcn" }, spec.sobel ? "sobel" : undefined, spec);
  return prepareTrunk(
    { ...model, notes: [...model.notes, ...normNotes(spec, settings, graph)] },
    spec,
    settings,
  );
}

/**
 * A trunk without batch norms has nothing that `batchnorm: train` could train: say how to export one that
 * has.
 */
function normNotes(spec: ModelSpec, settings: ImportedFcn, graph: Graph): string[] {
  const hasNorm = graph.nodes.some((node) => node.op.traits.includes("runningStatistics"));
  if (settings.batchnorm !== "train") return [];
  if (spec.train_fcn === false) return ["batchnorm: train has no effect on a frozen fcn (train_fcn: false)"];
  if (hasNorm) return [];
  return [
    "batchnorm: train finds no batch norm: PyTorch's default export folds them into the convolutions. Export with " +
      "torch.onnx.export(model.eval(), (image,), file, dynamo=True, optimize=False, " +
      'dynamic_shapes=({0: torch.export.Dim("batch")},))',
  ];
}

/**
 * A model that takes bytes prepares them itself: nothing can come `before`, and other numbers are none.
 * E_MODEL_SHAPE at `place`.
 */
export function refuseBytes(
  graph: Graph,
  place: { readonly file: string; readonly path: string },
  before: string | undefined,
  spec: ModelSpec,
): void {
  const reason = spec.bit_depth === 8 ? before : `bit_depth ${spec.bit_depth}`;
  if (graph.inputs[0]?.type.dtype !== "uint8" || reason === undefined) return;
  const message = `the model takes bytes and prepares them itself, which leaves no place for ${reason}`;
  throw new MttcError({ code: "E_MODEL_SHAPE", message, at: place });
}
