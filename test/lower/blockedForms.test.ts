// Convolutions on blocks of channels on this processor's own ONNX Runtime, against the float64 reference;
// forms.test.ts holds each form against it in float64.
import { afterAll, describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { lowerGraph } from "../../compiler/lower/lower.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { processorBlock } from "../ops/processorBlock.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { drawSample, forwardGraph } from "../ops/sampleGraph.ts";
import { SAMPLES } from "../ops/samples/allSamples.ts";
import { ORT_FLOAT32 } from "../tolerances.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());
const channelBlock = processorBlock(library);

const isOnBlocks = (graph: ReturnType<typeof forwardGraph>): boolean =>
  graph.nodes.some(({ op }) => op.domain === "com.microsoft.nchwc");

describe.each(["Conv", "ConvInputGrad", "ConvWeightGrad"])("%s on blocks of channels", (name) => {
  const op = OPS.get(name)!;
  const graphs = (SAMPLES[name] ?? []).map((sample) => {
    const drawn = drawSample(op, sample);
    return { drawn, graph: forwardGraph(drawn, OPS) };
  });

  test("are taken for known blocks only", () => {
    const taken = (block: 8 | 16 | undefined) =>
      graphs.filter(({ graph }) => isOnBlocks(lowerGraph(graph, "cpu", OPS, { channelBlock: block }))).length;
    expect(taken(undefined)).toBe(0);
    for (const block of [8, 16] as const) expect(taken(block)).toBeGreaterThan(1);
  });

  test("equal the reference on this processor", () => {
    for (const { drawn, graph } of graphs) {
      const expected = interpret(graph, drawn.feeds).get("y0")!;
      const found = runOnOrt(library, graph, drawn.feeds, OPS, { channelBlock }).get("y0")!;
      expect(found.shape).toEqual(expected.shape);
      assertClose(found.data, expected.data, { tolerance: ORT_FLOAT32, what: drawn.sample.title });
    }
  });
});
