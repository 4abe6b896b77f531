// Runs a family's graph through the whole compiler behind the spec: simplified, lowered, encoded, on ONNX
// Runtime.
import type { Target } from "../../compiler/bundle/manifest.ts";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { runBytesOnOrt } from "../ops/runOnOrt.ts";
import type { TrunkGraph } from "./trunkGraph.ts";

/** Features and gradients in float32, on the CPU; the graph may be one for CUDA. */
export function runFamilyOnOrt(
  library: OrtLibrary,
  { graph, feeds }: TrunkGraph,
  target: Target = "cpu",
): Map<string, NDArray> {
  const bytes = encodeGraph(finishGraph(graph, { target }));
  const outputs = graph.outputs.map(({ name }) => name);
  return runBytesOnOrt(library, { name: graph.name, bytes, outputs }, feeds);
}
