// Runs the graphs of a compiled bundle on tensors given by name: on the float64 reference, or on ONNX Runtime
// in this thread. Tests of what a step means run on both.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { DType } from "../../compiler/ir/types.ts";
import { arrayOver, elementBytes } from "../../runtime/ort/hostTensor.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import type { TracedBundle } from "../training/tracedGraphs.ts";

export type Tensors = ReadonlyMap<string, NDArray>;

/**
 * Outputs of a graph of the bundle ("train", "grad", ...) by name; feeds that it does not take are ignored.
 */
export type GraphRunner = (graph: string, feeds: Tensors) => Map<string, NDArray>;

export type RuntimeName = "the float64 reference" | "ONNX Runtime";
export const RUNTIMES: readonly RuntimeName[] = ["the float64 reference", "ONNX Runtime"];

/** Calls `use` with a runner for `traced`; sessions live as long as the call. */
export function withRunner<T>(runtime: RuntimeName, traced: TracedBundle, use: (run: GraphRunner) => T): T {
  if (runtime === "the float64 reference") return use(referenceRunner(traced));
  const sessions = new Map<string, OrtSession>();
  // Graphs whose constants are in a file of their own are opened from a folder.
  const folder = mkdtempSync(join(tmpdir(), "mttc-step-"));
  for (const [name, bytes] of traced.bundle.files) writeFileSync(join(folder, name), bytes);
  try {
    return use(ortRunner(folder, sessions));
  } finally {
    for (const session of sessions.values()) session[Symbol.dispose]();
    rmSync(folder, { recursive: true });
  }
}

function referenceRunner({ stages }: TracedBundle): GraphRunner {
  return (graph, feeds) => {
    const found = stages.get(`${graph}/5-final`);
    if (!found) throw new Error(`no graph ${graph}`);
    return interpret(found, feeds);
  };
}

function ortRunner(folder: string, sessions: Map<string, OrtSession>): GraphRunner {
  const library = OrtLibrary.open();
  const open = (graph: string): OrtSession => {
    const path = join(folder, `${graph}.onnx`);
    return OrtSession.open(library, graph, { path }, { intraOpThreads: 1, allowSpinning: false });
  };
  return (graph, feeds) => {
    const session = sessions.get(graph) ?? open(graph);
    sessions.set(graph, session);
    const given = new Map(
      session.inputs.map(({ name }) => [name, deviceTensor(library, name, feeds.get(name))]),
    );
    const wanted = session.outputs.map(({ name }) => name);
    const results = session.run(given, wanted);
    const outputs = new Map(results.map((tensor, i) => [wanted[i] ?? "", hostArray(tensor)]));
    for (const tensor of [...given.values(), ...results]) tensor[Symbol.dispose]();
    return outputs;
  };
}

function deviceTensor(library: OrtLibrary, name: string, feed: NDArray | undefined): OrtTensor {
  if (!feed) throw new Error(`no feed for ${name}`);
  const tensor = OrtTensor.allocate(library, name, feed.dtype, feed.shape);
  tensor.write(typedNumbers(feed.dtype, feed.data));
  return tensor;
}

function typedNumbers(dtype: DType, data: Float64Array): ArrayBufferView {
  const typed = arrayOver(dtype, new ArrayBuffer(data.length * elementBytes(dtype)));
  if (typed instanceof BigInt64Array) typed.set(Array.from(data, BigInt));
  else typed.set(data);
  return typed;
}

function hostArray(tensor: OrtTensor): NDArray {
  const { dtype, shape, data } = tensor.read();
  return { dtype, shape, data: Float64Array.from(data as ArrayLike<number | bigint>, Number) };
}
