// Runs a graph of ours on ONNX Runtime, in this thread: lowered for the CPU, encoded, loaded, run once. The
// results come back as the reference interpreter gives them.
import type { NDArray, OpTable } from "../../compiler/ir/op.ts";
import type { DType, Graph } from "../../compiler/ir/types.ts";
import { lowerGraph } from "../../compiler/lower/lower.ts";
import { encodeGraph } from "../../compiler/onnx/encodeGraph.ts";
import { arrayOver, elementBytes, type TensorArray } from "../../runtime/ort/hostTensor.ts";
import type { OrtLibrary } from "../../runtime/ort/library.ts";
import { OrtSession } from "../../runtime/ort/session.ts";
import { OrtTensor } from "../../runtime/ort/tensor.ts";

/** Outputs of `graph` by name, on the CPU with one thread. */
export function runOnOrt(
  library: OrtLibrary,
  graph: Graph,
  feeds: ReadonlyMap<string, NDArray>,
  ops: OpTable,
): Map<string, NDArray> {
  const bytes = encodeGraph(lowerGraph(graph, "cpu", ops));
  const session = OrtSession.open(
    library,
    graph.name,
    { bytes },
    { intraOpThreads: 1, allowSpinning: false },
  );
  const given = new Map<string, OrtTensor>();
  let results: OrtTensor[] = [];
  try {
    // ORT drops no input, but refuses feeds that the graph does not have.
    for (const { name } of session.inputs) {
      const feed = feeds.get(name);
      if (!feed) throw new Error(`${graph.name}: nothing to feed ${name} with`);
      const tensor = OrtTensor.allocate(library, name, feed.dtype, feed.shape);
      given.set(name, tensor);
      tensor.write(toTyped(feed));
    }
    const wanted = graph.outputs.map(({ name }) => name);
    results = session.run(given, wanted);
    return new Map(results.map((result, i) => [wanted[i]!, toNumbers(result)]));
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
