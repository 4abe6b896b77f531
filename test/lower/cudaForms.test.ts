// The forms for CUDA, as far as they can be proved without a device: on ONNX Runtime's CPU against the
// float64 reference, also where the sum over pixels is split; and whole training steps compiled for CUDA
// against the same compiled for the CPU.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { AUGMENT_INPUT, imageSize } from "../../compiler/augment/augmentGraph.ts";
import type { Bundle } from "../../compiler/bundle/manifest.ts";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { compile } from "../../compiler/compile.ts";
import { exportModel } from "../../compiler/export/exportModel.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Attrs, Graph } from "../../compiler/ir/types.ts";
import { AS_IS, shapeKey } from "../../compiler/lower/forms.ts";
import { lowerGraph } from "../../compiler/lower/lower.ts";
import { TARGET_TRAITS } from "../../compiler/lower/targets.ts";
import { CHANNEL_BLOCKS } from "../../compiler/ops/channelBlocks.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { augmentSettings } from "../../compiler/spec/augmentKeys.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec, SpecInput } from "../../compiler/spec/schema.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { classesOf } from "../golden/goldenCases.ts";
import { processorBlock } from "../ops/processorBlock.ts";
import { runLoweredOnOrt } from "../ops/runOnOrt.ts";
import { drawSample, forwardGraph, randomFrom } from "../ops/sampleGraph.ts";
import { SAMPLES } from "../ops/samples/allSamples.ts";
import { compileExperiment, initialState, nextState, randomBatch, train } from "../step/experiment.ts";
import { type Tensors, withRunner } from "../step/graphRunner.ts";
import { relativeDistance } from "../step/tensors.ts";
import { FORM_FLOAT64, LONG_SUM_FLOAT32, ORT_FLOAT32, TARGETS_FLOAT32 } from "../tolerances.ts";
import { compileTraced } from "../training/tracedGraphs.ts";
import { EXAMPLE_SPECS } from "./compiledSpecs.ts";
import { lowerTo, nodeOf, statedForms } from "./formTable.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const block = processorBlock(library);
/** A form on blocks of channels means something on processors with such blocks only. */
const isOfThisProcessor = (form: string): boolean =>
  !form.startsWith("blocked") ||
  [...CHANNEL_BLOCKS].every((each) => each === block || !form.endsWith(`${each}`));

const COMPARED = [
  ...["AveragePool", "Conv", "ConvTranspose", "ConvInputGrad", "ConvWeightGrad"],
  ...["BatchNormTraining", "BatchNormTrainingGrad"],
];

describe.each(COMPARED)("%s on ONNX Runtime", (name) => {
  const op = OPS.get(name)!;
  test.each(Object.keys(statedForms(op)).filter(isOfThisProcessor))("as %s equals the reference", (form) => {
    let compared = 0;
    for (const sample of SAMPLES[name] ?? []) {
      const drawn = drawSample(op, sample);
      const graph = forwardGraph(drawn, OPS);
      if (!statedForms(op)[form]!(nodeOf(graph, op))) continue;
      const found = runLoweredOnOrt(library, lowerTo(graph, op, form), drawn.feeds);
      for (const [name, { data, shape }] of interpret(graph, drawn.feeds)) {
        expect(found.get(name)?.shape).toEqual(shape);
        const what = `${form}, ${sample.title}: ${name}`;
        assertClose(found.get(name)!.data, data, { tolerance: ORT_FLOAT32, what });
      }
      compared++;
    }
    expect(compared).toBeGreaterThan(0);
  });
});

/** ConvWeightGrad of images [n,c,side,side] and k filters. */
function weightGradient(sizes: readonly number[], kernel: number, attrs: Attrs): Graph {
  const [n = 1, c = 1, k = 1, side = 1] = sizes;
  const { strides = [1, 1], pads = [0, 0, 0, 0] } = attrs as { strides?: number[]; pads?: number[] };
  const count = (axis: number): number =>
    Math.floor((side + pads[axis]! + pads[axis + 2]! - kernel) / strides[axis]!) + 1;
  const b = new GraphBuilder("sums", OPS);
  const x = b.input("x", "float32", [n, c, side, side]);
  const dy = b.input("dy", "float32", [n, k, count(0), count(1)]);
  b.output("dw", b.emit("ConvWeightGrad", [x, dy], { ...attrs, kernel_shape: [kernel, kernel] }));
  return b.build();
}

function drawFeeds(graph: Graph): Map<string, NDArray> {
  return new Map(
    graph.inputs.map(({ name, type }) => {
      const random = randomFrom(name);
      const shape = type.shape.map(Number);
      const count = shape.reduce((product, dim) => product * dim, 1);
      const data = Float64Array.from({ length: count }, () => Math.fround(2 * random() - 1));
      return [name, { dtype: type.dtype, shape, data }];
    }),
  );
}

describe("a sum over pixels in parts", () => {
  // Parts of single images where filters are few, of several where they are many, and in groups.
  test.each<[string, number[], number, Attrs, number]>([
    ["single images", [3, 4, 5, 12], 3, { pads: [1, 1, 1, 1] }, 3],
    ["single images of a 1x1 convolution with strides", [4, 6, 3, 9], 1, { strides: [2, 2] }, 4],
    ["eight images each", [16, 16, 16, 12], 5, { pads: [2, 2, 2, 2] }, 2],
    ["two images each, in groups", [4, 4, 6, 24], 3, { group: 2, pads: [1, 1, 1, 1] }, 2],
  ])("of %s equals the reference, in float64 and on ONNX Runtime", (_, sizes, kernel, attrs, parts) => {
    const graph = weightGradient(sizes, kernel, attrs);
    const op = OPS.get("ConvWeightGrad")!;
    const feeds = drawFeeds(graph);
    const expected = interpret(graph, feeds).get("dw")!.data;
    for (const form of ["splitTapProducts", "splitColumnProduct"]) {
      const lowered = lowerTo(graph, op, form);
      const products = lowered.nodes.filter((node) => node.op.name === "FusedMatMul");
      const group = Number(attrs.group ?? 1);
      for (const node of products) expect(node.outputs[0]?.type.shape[0]).toBe(parts * group);
      assertClose(interpret(lowered, feeds).get("dw")!.data, expected, {
        tolerance: FORM_FLOAT64,
        what: form,
      });
      assertClose(runLoweredOnOrt(library, lowered, feeds).get("dw")!.data, expected, {
        tolerance: LONG_SUM_FLOAT32,
        what: form,
      });
    }
  });
});

describe("measured forms", () => {
  const graph = weightGradient([2, 3, 4, 6], 3, {});
  const key = shapeKey(graph.nodes[0]!);
  const operators = (lowered: Graph): string[] => lowered.nodes.map((node) => node.op.name);

  test("overrule the table where they name the shape", () => {
    expect(operators(lowerGraph(graph, "cuda", OPS))).toContain("FusedMatMul");
    const chosen = lowerGraph(graph, "cuda", OPS, { forms: new Map([[key, "swappedConv"]]) });
    expect(operators(chosen)).toContain("Conv");
    expect(
      operators(lowerGraph(graph, "cuda", OPS, { forms: new Map([["another", "swappedConv"]]) })),
    ).not.toContain("Conv");
  });

  test("may leave a standard operator as it is, or respell one that the table leaves", () => {
    const b = new GraphBuilder("pointwise", OPS);
    const image = b.input("x", "float32", [1, 3, 4, 4]);
    b.output("y", b.emit("Conv", [image, b.input("w", "float32", [2, 3, 1, 1])]));
    const pointwise = b.build();
    const conv = shapeKey(pointwise.nodes[0]!);
    expect(TARGET_TRAITS.cuda.forms.Conv?.(pointwise.nodes[0]!)).toBe("product");
    expect(operators(lowerGraph(pointwise, "cuda", OPS))).toContain("MatMul");
    expect(operators(lowerGraph(pointwise, "cuda", OPS, { forms: new Map([[conv, AS_IS]]) }))).toEqual([
      "Conv",
    ]);
  });

  test("are keyed by operator, types and attributes, in any order of the attributes", () => {
    expect(key).toBe("ConvWeightGrad f32[2,3,6,6] f32[2,4,4,4] {kernel_shape=[3,3]}");
  });
});

/** Small nets with everything that a step may hold. */
const NETS: Readonly<Record<string, Partial<SpecInput>>> = {
  "a residual block, dropout and learned task weights": {
    fcn: { layers: [4, "p", 8, "r"] },
    shared_layers: [8, "d"],
    task_weights: "adaptive",
    imshape: [12, 10],
  },
  "batch norm, separable convolutions and momentum": {
    fcn: { layers: [4, 8, "p"] },
    batchnorm: true,
    separable: true,
    optimizer: "momentum",
    imshape: [8, 8],
  },
  "a frozen trunk, valid padding, kernels of two pixels": {
    fcn: { layers: [4, 4] },
    train_fcn: false,
    shared_layers: [6],
    padding: "valid",
    kernel_size: 2,
    imshape: [7, 7],
  },
  augmentation: {
    augment: { brightness_delta: true, hue_delta: true, gaussian_blur: 0.9, sobel_prob: 0.5, mask: 0.5 },
    imshape: [8, 8],
  },
};

/** The largest distance of a tensor after a step compiled for CUDA from the same compiled for the CPU. */
function compareSteps(compiled: (target: "cpu" | "cuda") => ReturnType<typeof compileExperiment>): void {
  const [cpu, cuda] = [compiled("cpu"), compiled("cuda")];
  const step = (traced: typeof cpu): Tensors =>
    withRunner("ONNX Runtime", traced, (run) => {
      const state = initialState(traced.bundle);
      const batch = new Map([...randomBatch(traced.bundle, "batch"), ...augmentRows(traced.bundle)]);
      return nextState(state, train(run, traced.bundle, state, batch, 1));
    });
  expect(cuda.bundle.manifest.target).toBe("cuda");
  const operators = ({ stages }: typeof cpu) =>
    stages.get("train/5-final")?.nodes.map((node) => node.op.name);
  expect(operators(cuda)).not.toEqual(operators(cpu));
  const [before, expected, found] = [initialState(cpu.bundle), step(cpu), step(cuda)];
  for (const [name, { data }] of expected) {
    expect(relativeDistance(found.get(name)?.data, data), name).toBeLessThanOrEqual(TARGETS_FLOAT32);
    expect(relativeDistance(before.get(name)?.data, data), name).toBeGreaterThan(TARGETS_FLOAT32);
  }
}

/** Parameters of the augmentation for each row of a batch, as an epoch draws them. */
function augmentRows({ manifest }: Bundle): [string, NDArray][] {
  const settings = augmentSettings(manifest.spec.augment);
  const input = manifest.graphs.train?.inputs.find(({ name }) => name === AUGMENT_INPUT);
  if (!settings || !input) return [];
  const shape = input.shape.map(Number);
  const size = imageSize(manifest.spec);
  const rows = drawAugmentRows({ settings, size, seed: 0, epoch: 0 }, 0, shape[0]!);
  return [[AUGMENT_INPUT, { dtype: "float32", shape, data: Float64Array.from(rows) }]];
}

describe("operators of ONNX Runtime itself", () => {
  const traced = compileExperiment(
    NETS["a residual block, dropout and learned task weights"]!,
    { a: 3 },
    undefined,
    "cuda",
  );
  const domains = (bytes: Uint8Array): unknown => {
    const { opsetImport, graph } = decodeModelProto(bytes);
    return [
      opsetImport.map(({ domain }) => domain),
      [...new Set(graph.node.map(({ domain = "" }) => domain))],
    ];
  };

  test("are in graphs for CUDA, which name their domain", () => {
    expect(domains(traced.bundle.files.get("train.onnx")!)).toEqual([
      ["", "com.microsoft"],
      ["", "com.microsoft"],
    ]);
  });

  test("are in no exported model, and in no graph for the CPU", () => {
    const { spec, tasks } = traced.bundle.manifest;
    const classes = tasks.map(({ name, classes: names }) => ({ task: name, classes: names }));
    const state = initialState(traced.bundle);
    const values = new Map([...state].map(([name, { data }]) => [name, Float32Array.from(data)]));
    const exported = exportModel(spec, classes, values, { split: true });
    expect(exported.length).toBeGreaterThan(2);
    for (const { bytes } of exported) expect(domains(bytes)).toEqual([[""], [""]]);
    for (const [file, bytes] of compile(spec, classes).files)
      if (file.endsWith(".onnx")) expect(domains(bytes), file).toEqual([[""], [""]]);
  });
});

describe("a step compiled for CUDA is the step compiled for the CPU:", () => {
  // Fewer and smaller images and fewer filters than the examples have, for time.
  test.each(EXAMPLE_SPECS)("%s", async (path) => {
    const read = parseSpec(readFileSync(path, "utf8"), path);
    const narrow = (layers: Spec["shared_layers"]) =>
      layers.map((layer) => (typeof layer === "number" ? Math.min(layer, 16) : layer));
    const layers = { shared_layers: narrow(read.shared_layers), task_layers: narrow(read.task_layers) };
    // Which part of the augmentation a graph does depends on the target.
    const spec: Spec = { ...read, ...layers, augment: false, imshape: [48, 48], batch_size: 4 };
    const classes = classesOf(spec, 3);
    const models = await readForeignModels(spec, dirname(path), classes);
    compareSteps((target) => compileTraced(spec, classes, { ...models, target }));
  });

  test.each(Object.keys(NETS))("%s", (name) => {
    compareSteps((target) => compileExperiment(NETS[name]!, { a: 3, b: 2 }, undefined, target));
  });
});
