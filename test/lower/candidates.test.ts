// What autotuning measures: the forms of each shape once, each for the shape, each the same numbers, the
// table's choice among them.
import { describe, expect, test } from "vitest";
import { TARGETS } from "../../compiler/bundle/manifest.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import { elementCount, type Graph } from "../../compiler/ir/types.ts";
import { formCandidates, measuredForms } from "../../compiler/lower/candidates.ts";
import { cudaKernelFaults } from "../../compiler/lower/cudaKernels.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { AS_IS, ruleOf, shapeKey } from "../../compiler/lower/forms.ts";
import { TARGET_TRAITS } from "../../compiler/lower/targets.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { assertClose } from "../assertClose.ts";
import { drawSample, forwardGraph, randomFrom } from "../ops/sampleGraph.ts";
import { SAMPLES } from "../ops/samples/allSamples.ts";
import { compileExperiment } from "../step/experiment.ts";
import { FORM_FLOAT64 } from "../tolerances.ts";
import { nodeOf, statedForms } from "./formTable.ts";

const MEASURED = ["Conv", "ConvInputGrad", "ConvWeightGrad", "BatchNormTrainingGrad"];
const SHAPES = MEASURED.flatMap((name) =>
  (SAMPLES[name] ?? []).map((sample) => ({ op: OPS.get(name)!, drawn: drawSample(OPS.get(name)!, sample) })),
);

describe.each(TARGETS)("candidates for %s", (target) => {
  test("are forms that are for the shape, the table's among them", () => {
    let measured = 0;
    for (const { op, drawn } of SHAPES) {
      const node = nodeOf(forwardGraph(drawn, OPS), op);
      const forms = measuredForms(node, target);
      const what = `${op.name} with ${drawn.sample.title}`;
      for (const form of forms) if (form !== AS_IS) expect(statedForms(op)[form]!(node), what).toBe(true);
      const usual = ruleOf(TARGET_TRAITS[target].forms, op)?.(node) ?? AS_IS;
      if (forms.length > 0) expect(forms, what).toContain(usual);
      measured += forms.length;
    }
    expect(measured).toBeGreaterThan(20);
  });

  test("compute what the operator computes, and need no fallback", () => {
    // Batch norms are measured with their gradients: below.
    for (const { op, drawn } of SHAPES.filter(({ op }) => op.name.startsWith("Conv"))) {
      const graph = forwardGraph(drawn, OPS);
      const [candidate] = formCandidates([graph], target, OPS);
      if (!candidate) continue;
      const expected = interpret(graph, drawn.feeds).get("y0")!.data;
      const places = nodeOf(graph, op).inputs.flatMap((input, i) =>
        input ? [[input.name, i] as const] : [],
      );
      const feeds = new Map(places.map(([name, i]) => [`input${i}`, drawn.feeds.get(name)!]));
      for (const [form, alone] of candidate.forms) {
        const what = `${candidate.key} as ${form}`;
        assertClose(interpret(alone, feeds).get("y")!.data, expected, { tolerance: FORM_FLOAT64, what });
        if (target === "cuda") expect(cudaKernelFaults(alone), what).toEqual([]);
      }
    }
  });
});

test("the candidates of a compilation are its convolutions' shapes, each once", () => {
  const { stages } = compileExperiment(
    { fcn: { layers: [4, 4, 4, "p", 8] }, task_layers: [8] },
    { a: 3, b: 2 },
  );
  const ready = [...stages].flatMap(([stage, graph]): Graph[] => (stage.endsWith("/2-ready") ? [graph] : []));
  const candidates = formCandidates(ready, "cuda", OPS);
  const keys = candidates.map(({ key }) => key);
  expect(new Set(keys).size).toBe(keys.length);
  const wanted = ready.flatMap(({ nodes }) => nodes.filter((node) => /^Conv.*Grad$/.test(node.op.name)));
  expect(new Set(keys)).toEqual(new Set(wanted.map(shapeKey)));
  for (const { usual, forms, origin } of candidates) {
    expect(forms.has(usual)).toBe(true);
    expect(origin).toMatch(/layers/);
  }
});

test("batch norms with rows are candidates where the rows are few enough for a product each", () => {
  const formsOf = (n: number, side: number): readonly string[] => {
    const shapes = [[n, 4, side, side], [n, 4, side, side], [4], [4], [4]];
    const inputs = shapes.map((shape) => ({ shape, data: new Array<number>(elementCount(shape)).fill(0) }));
    const op = OPS.get("BatchNormTrainingGrad")!;
    return measuredForms(nodeOf(forwardGraph(drawSample(op, { title: "rows", inputs }), OPS), op), "cuda");
  };
  expect(formsOf(2, 4)).toEqual(["imageRows", "imageRowProducts", "channelAffine"]);
  expect(formsOf(2, 3)).toEqual([]);
  expect(formsOf(16_384, 4)).toEqual(["imageRows", "channelAffine"]);
});

test("a batch norm is measured with its gradient, and a choice is for both", () => {
  const epsilon = 0.01;
  const b = new GraphBuilder("norm", OPS);
  const [x, dy] = ["input0", "input1"].map((name) => b.input(name, "float32", [2, 3, 4, 5]));
  const [scale, bias] = ["input2", "input3"].map((name) => b.input(name, "float32", [3]));
  const [y, mean, variance] = b.emitAll("BatchNormTraining", [x, scale, bias], { epsilon }, 3);
  const [dx] = b.emitAll("BatchNormTrainingGrad", [x, dy, scale, mean, variance], { epsilon }, 3);
  b.output("y", b.add(y!, dx!));
  const graph = b.build();
  const random = randomFrom("a batch norm both ways");
  const feeds = new Map(
    graph.inputs.map(({ name, type }) => {
      const shape = type.shape.map(Number);
      const data = Float64Array.from({ length: elementCount(shape) }, () => 2 * random() - 1);
      return [name, { dtype: type.dtype, shape, data }] as const;
    }),
  );
  const expected = interpret(graph, feeds).get("y")!.data;
  const keys = graph.nodes.filter(({ op }) => op.domain === "mttc").map(shapeKey);
  const [candidate, ...others] = formCandidates([graph], "cuda", OPS);
  expect(others).toEqual([]);
  for (const [form, alone] of candidate!.forms) {
    assertClose(interpret(alone, feeds).get("y")!.data, expected, { tolerance: FORM_FLOAT64, what: form });
    expect(cudaKernelFaults(alone), form).toEqual([]);
    expect(new Set(candidate!.choicesOf(form).keys())).toEqual(new Set(keys));
  }
  const operators = (form: string) => candidate!.forms.get(form)!.nodes.map(({ op }) => op.name);
  // What both ways share is computed once.
  expect(operators("imageRows").filter((name) => name === "LayerNormalization")).toHaveLength(1);
  expect(operators("channelAffine")).not.toContain("LayerNormalization");
});

test("a node whose batch is not known is not measured", () => {
  const graph = finishGraph(forwardGraph(SHAPES[0]!.drawn, OPS));
  const symbolic = { ...graph.nodes[0]! };
  const [x, ...rest] = symbolic.inputs;
  const any = { ...x!, type: { ...x!.type, shape: ["N", ...x!.type.shape.slice(1)] } };
  expect(measuredForms({ ...symbolic, inputs: [any, ...rest] }, "cuda")).toEqual([]);
});
