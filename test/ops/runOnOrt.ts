// Runs a graph of ours on ONNX Runtime, in this thread: lowered for the CPU, encoded, loaded, run once. The
// results come back as the reference interpreter gives them.
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import type { NDArray, OpTable } from "../../compiler/ir/op.ts";
import type { DType, Graph } from "../../compiler/ir/types.ts";
import { type LowerOptions, lowerGraph } from "../../compiler/lower/lower.ts";
import { arrayOver, elementBytes, type TensorArray } from "../../runtime/ort/hostTensor.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import type { RankOperators } from "../../runtime/ort/rankOperators.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";
import { alikeRanks } from "../ort/alikeRanks.ts";

/** Outputs of `graph` by name, on the CPU with one thread; other processes that it asks have the same. */
export function runOnOrt(
  library: OrtLibrary,
  graph: Graph,
  feeds: ReadonlyMap<string, NDArray>,
  ops: OpTable,
  options: LowerOptions = {},
): Map<string, NDArray> {
  return runLoweredOnOrt(library, lowerGraph(graph, "cpu", ops, options), feeds);
}

/** The same of a graph that is lowered. */
export function runLoweredOnOrt(
  library: OrtLibrary,
  lowered: Graph,
  feeds: ReadonlyMap<string, NDArray>,
): Map<string, NDArray> {
  const { name } = lowered;
  const outputs = lowered.outputs.map((output) => output.name);
  const exchange = lowered.nodes.find(({ op }) => op.traits.includes("collective"));
  const ranks = exchange && alikeRanks(library, Number(exchange.attrs.ranks));
  try {
    return runBytesOnOrt(library, { name, bytes: encodeGraph(lowered), outputs }, feeds, ranks);
  } finally {
    ranks?.[Symbol.dispose]();
  }
}

/** Outputs, in their order, of a model that is a file already. */
export function runBytesOnOrt(
  library: OrtLibrary,
  model: { readonly name: string; readonly bytes: Uint8Array; readonly outputs: readonly string[] },
  feeds: ReadonlyMap<string, NDArray>,
  ranks?: RankOperators,
): Map<string, NDArray> {
  const { name, bytes, outputs } = model;
  const options = { intraOpThreads: 1, allowSpinning: false };
  const session = OrtSession.open(library, name, { bytes }, options, ranks ?? null);
  const given = new Map<string, OrtTensor>();
  let results: OrtTensor[] = [];
  try {
    // ORT drops no input, but refuses feeds that the graph does not have.
    for (const input of session.inputs) {
      const feed = feeds.get(input.name);
      if (!feed) throw new Error(`${name}: nothing to feed ${input.name} with`);
      const tensor = OrtTensor.allocate(library, input.name, feed.dtype, feed.shape);
      given.set(input.name, tensor);
      tensor.write(toTyped(feed));
    }
    results = session.run(given, outputs);
    return new Map(results.map((result, i) => [outputs[i]!, toNumbers(result)]));
  } finally {
    for (const tensor of [...given.values(), ...results]) tensor[Symbol.dispose]();
    session[Symbol.dispose]();
  }
}

function toTyped({ dtype, data }: NDArray): TensorArray<DType> {
  const typed = arrayOver(dtype, new ArrayBuffer(data.length * elementBytes(dtype)));
  if (typed instanceof BigInt64Array) typed.set(Array.from(data, BigInt));
  else typed.set(data);
  return typed;
}

function toNumbers(tensor: OrtTensor): NDArray {
  const { dtype, shape, data } = tensor.read();
  return { dtype, shape, data: Float64Array.from(data, Number) };
}
