// Our own exported models come back: random specs -> export -> import, the same numbers on the reference.
// And an NHWC network as tf2onnx writes it, against ONNX Runtime on the file as it is.
import { afterAll, describe, expect, test } from "vitest";
import { encodeGraph } from "../../compiler/codec/encodeGraph.ts";
import { philox4x32 } from "../../compiler/codec/philox.ts";
import { buildExportGraphs } from "../../compiler/export/exportGraphs.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { printGraph } from "../../compiler/ir/print.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { initialValue } from "../../compiler/model/initialValues.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { buildGradientGraph } from "../../compiler/step/gradientGraph.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runBytesOnOrt } from "../ops/runOnOrt.ts";
import { IMPORTED_FLOAT32 } from "../tolerances.ts";
import { encodeForeign, imageOf, ints, type NodeText, weights } from "./foreignModel.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const CLASSES = [
  { task: "a b", classes: ["x", "y"] },
  { task: "c", classes: ["x", "y", "z"] },
];

/** A spec drawn from `seed`: layers, kernels, norms, pooling. */
function randomSpec(seed: number) {
  const words = new Uint32Array(4);
  let draws = 0;
  const pick = <T>(choices: readonly T[]): T => {
    philox4x32(words, draws++, 0, 0, 0, seed, 1);
    return choices[(words[0] ?? 0) % choices.length] as T;
  };
  return resolveSpec({
    tasks: CLASSES.map(({ task }) => task),
    fcn: {
      layers: pick([
        [4, "p"],
        [3, "d", "r"],
        [4, 4, "p", "r"],
      ] as const),
    },
    train_fcn: true,
    shared_layers: pick([[], [4], [5, "d"], ["r"]] as const),
    task_layers: pick([[], [3], [4, "p", "d", 3]] as const),
    batchnorm: pick([true, false]),
    separable: pick([true, false]),
    kernel_size: pick([1, 3, 5]),
    global_pooling: pick(["max", "average"]),
    imshape: [8, 12],
    batch_size: 2,
    seed,
  });
}

/** The graph's text; origins name the nodes of the file that was read, so they differ. */
function withoutOrigins(graph: Graph): string {
  return printGraph(graph, true).replace(/ +;.*/g, "");
}

describe("exported models", () => {
  test.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])(
    "random spec %i: the same numbers after a round trip",
    (seed) => {
      const spec = randomSpec(seed);
      const training = { spec, tasks: openTasks(CLASSES), ops: OPS, frozenValue: () => new Float32Array() };
      const parameters = buildGradientGraph(training, 2).parameters;
      const values = new Map(parameters.map((parameter) => [parameter.name, initialValue(parameter, seed)]));
      const model = { spec, tasks: openTasks(CLASSES), ops: OPS, values, producer: "mttc" };
      const image: NDArray = {
        dtype: "uint8",
        shape: [2, 8, 12, 3],
        data: Float64Array.from({ length: 2 * 8 * 12 * 3 }, (_, i) => (i * 37 + seed) % 256),
      };
      for (const { graph, name } of buildExportGraphs(model, false)) {
        const finished = finishGraph(graph);
        const options = { file: `${name}.onnx`, imshape: [8, 12] as const, batch: "N" };
        const imported = importModel(encodeGraph(finished), options);
        expect([imported.layout, imported.opset, imported.notes]).toEqual(["NHWC", 18, []]);
        const feeds = new Map([["image", image]]);
        const [before, after] = [interpret(finished, feeds), interpret(imported.graph, feeds)];
        expect([...after.keys()]).toEqual([...before.keys()]);
        for (const [output, expected] of before)
          assertClose(after.get(output)?.data ?? [], expected.data, {
            tolerance: IMPORTED_FLOAT32,
            what: output,
          });
        const again = importModel(encodeGraph(imported.graph), options);
        expect(withoutOrigins(again.graph)).toBe(withoutOrigins(imported.graph));
      }
    },
  );
});

/**
 * Two convolutions between transpositions, biases, padding, a gate and the classifier on channels-last
 * maps.
 */
const TF_NODES: readonly NodeText[] = [
  ["Sub(x, mean) -> centred"],
  ["Transpose(centred) -> t0", { perm: [0, 3, 1, 2] }],
  ["Conv(t0, w1) -> c1", { strides: [2, 2], auto_pad: "SAME_UPPER" }],
  ["Transpose(c1) -> n1", { perm: [0, 2, 3, 1] }],
  ["Add(n1, bias) -> b1"],
  ["Relu(b1) -> r1"],
  ["Pad(r1, pads) -> p1"],
  ["Transpose(p1) -> t1", { perm: [0, 3, 1, 2] }],
  ["Conv(t1, w2) -> c2"],
  ["Transpose(c2) -> n2", { perm: [0, 2, 3, 1] }],
  ["ReduceMean(n2) -> pooled", { axes: [1, 2], keepdims: 0 }],
  ["Reshape(pooled, gateShape) -> g1"],
  ["Transpose(g1) -> t2", { perm: [0, 3, 1, 2] }],
  ["Conv(t2, w3) -> c3"],
  ["Transpose(c3) -> n3", { perm: [0, 2, 3, 1] }],
  ["Sigmoid(n3) -> gate"],
  ["Mul(n2, gate) -> gated"],
  ["Add(gated, r1) -> sum"],
  ["Relu(sum) -> features"],
  ["ReduceMean(features) -> last", { axes: [1, 2], keepdims: 0 }],
  ["MatMul(last, dense) -> logits"],
];

describe("an NHWC network of tf2onnx", () => {
  const initializers = [
    ...[weights("mean", [3]), weights("bias", [4]), weights("dense", [4, 2])],
    ...[weights("w1", [4, 3, 3, 3]), weights("w2", [4, 4, 3, 3]), weights("w3", [4, 4, 1, 1])],
    ...[ints("pads", [0, 1, 1, 0, 0, 1, 1, 0]), ints("gateShape", [-1, 1, 1, 4])],
  ];
  const image = ["unk__1", 8, 10, 3] as const;
  const bytes = encodeForeign({
    ...{ opset: 15, nodes: TF_NODES, initializers, image },
    outputs: ["logits", "features"],
  });
  const options = { file: "tf.onnx", imshape: [8, 10] as const, batch: "N", output: "features" };
  const feeds = new Map([["x", imageOf([2, 8, 10, 3])]]);

  test("comes out with the image's own transposition only", () => {
    const { graph, layout } = importTrunk(bytes, options);
    expect(layout).toBe("NHWC");
    expect(graph.nodes.filter((node) => node.op.name === "Transpose")).toHaveLength(1);
    expect(graph.outputs[0]?.value.type.shape).toEqual(["N", 4, 4, 5]);
  });

  test("gives the features that ONNX Runtime gives, channels first", () => {
    const { graph, output } = importTrunk(bytes, options);
    const features = interpret(graph, feeds).get(output);
    const given = runBytesOnOrt(library, { name: "tf", bytes, outputs: ["features"] }, feeds).get("features");
    const channelsFirst = Array.from({ length: 2 * 4 * 4 * 5 }, (_, i) => {
      const [n, c, pixel] = [Math.floor(i / 80), Math.floor(i / 20) % 4, i % 20];
      return given?.data[(n * 20 + pixel) * 4 + c] ?? Number.NaN;
    });
    assertClose(features?.data ?? [], channelsFirst, { tolerance: IMPORTED_FLOAT32, what: "features" });
  });

  test("is cut before its pooling without being told", () => {
    const { graph, notes } = importTrunk(bytes, { ...options, output: undefined });
    expect(graph.outputs[0]?.value.type.shape).toEqual(["N", 4, 4, 5]);
    expect(notes.join()).toContain("features are taken from");
  });

  test("whole, gives ONNX Runtime's logits", () => {
    const { graph } = importModel(bytes, { ...options, output: "logits" });
    const expected = runBytesOnOrt(library, { name: "tf", bytes, outputs: ["logits"] }, feeds).get("logits");
    const found = interpret(graph, feeds).get("logits");
    assertClose(found?.data ?? [], expected?.data ?? [], { tolerance: IMPORTED_FLOAT32, what: "logits" });
  });
});
