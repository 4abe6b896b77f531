// Runs a family's graph through the whole compiler behind the spec: simplified, lowered, encoded, on ONNX
// Runtime.
import type { NDArray } from "../../compiler/ir/op.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { encodeGraph } from "../../compiler/onnx/encodeGraph.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runBytesOnOrt } from "../ops/runOnOrt.ts";
import type { FamilyGraph } from "./familyGraph.ts";

/** Features and gradients in float32. */
export function runFamilyOnOrt(library: OrtLibrary, { graph, feeds }: FamilyGraph): Map<string, NDArray> {
  const bytes = encodeGraph(finishGraph(graph));
  const outputs = graph.outputs.map(({ name }) => name);
  return runBytesOnOrt(library, { name: graph.name, bytes, outputs }, feeds);
}
