// Every sample of every operator on ONNX Runtime's CPU in float32, forward and derivative, against the
// float64 reference. Our own operators are lowered first, so this checks their lowerings too.
import { afterAll, describe, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { type Graph, isFloat } from "../../compiler/ir/types.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { ORT_FLOAT32, ORT_FLOAT32_OF } from "../tolerances.ts";
import { processorBlock } from "./processorBlock.ts";
import { runOnOrt } from "./runOnOrt.ts";
import { type DrawnSample, derivativeGraph, drawSample, forwardGraph } from "./sampleGraph.ts";
import { SAMPLES } from "./samples/allSamples.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

function compareOnOrt(graph: Graph, feeds: ReadonlyMap<string, NDArray>, { op, sample }: DrawnSample): void {
  const expected = interpret(graph, feeds);
  const found = runOnOrt(library, graph, feeds, OPS);
  for (const { name, value } of graph.outputs) {
    const [right, actual] = [expected.get(name)!, found.get(name)!];
    const what = `${graph.name}: ${name}`;
    if (String(actual.shape) !== String(right.shape) || actual.dtype !== value.type.dtype)
      throw new Error(`${what}: ${actual.dtype}[${actual.shape}], expected ${right.dtype}[${right.shape}]`);
    assertClose(actual.data, right.data, {
      tolerance: sample.ortTolerance ?? ORT_FLOAT32_OF[op.name] ?? ORT_FLOAT32,
      what,
      allowZero: !isFloat(right.dtype) || sample.gradientFloor === 0,
    });
  }
}

// An operator on blocks of channels means something on processors with such blocks only.
const ofThisProcessor = [...OPS.values()].filter(
  ({ domain, name }) => domain !== "com.microsoft.nchwc" || name.endsWith(`${processorBlock(library)}`),
);

for (const op of ofThisProcessor)
  describe(op.name, () => {
    for (const sample of SAMPLES[op.name] ?? []) {
      const drawn = drawSample(op, sample);
      test(`${op.name} with ${sample.title}: ONNX Runtime agrees with the reference`, () => {
        compareOnOrt(forwardGraph(drawn, OPS), drawn.feeds, drawn);
      });
      const derivative = derivativeGraph(drawn, OPS);
      if (derivative.graph.outputs.length > 0)
        test(`${op.name} with ${sample.title}: the derivative agrees too`, () => {
          compareOnOrt(derivative.graph, derivative.feeds, drawn);
        });
    }
  });
