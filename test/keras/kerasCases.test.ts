// The small cases of test/cases/keras and their siblings: weights of nested models, layers behind the cut,
// pixels that the model divides itself, what Keras counts as trainable, and damaged files that keep the HDF5
// library busy.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compile } from "../../compiler/compile.ts";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { expectsBytePixels } from "../../compiler/model/pixelArithmetic.ts";
import { prepareTrunk } from "../../compiler/model/prepareTrunk.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importKeras, type KerasSource } from "../../compiler/read/keras/importKeras.ts";
import type { StoredArray } from "../../compiler/read/keras/kerasWeights.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { ImportedFcn } from "../../compiler/spec/schema.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { HDF5_LIMITS, readHdf5 } from "../../runtime/models/hdf5File.ts";
import { importKerasFile } from "../../runtime/models/kerasFile.ts";
import { assertClose } from "../assertClose.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { KERAS_FLOAT32 } from "../tolerances.ts";

const CASES = join(import.meta.dirname, "../cases/keras");
const FIXTURES = join(import.meta.dirname, "../fixtures/keras");
const CLASSES = [{ task: "t", classes: ["a", "b"] }];
/** A damaged file is refused within this time (the bound). */
const REFUSED_MS = 5_000;

/** What a Keras file becomes as a trunk that is trained whole. */
async function load(
  file: string,
  imshape: readonly [number, number],
  fcn: Partial<ImportedFcn> = {},
  more = {},
) {
  const path = file.includes("/") ? file : join(CASES, file);
  const spec = resolveSpec({
    ...{ tasks: ["t"], fcn: { path, ...fcn }, train_fcn: true, imshape, batch_size: 2, task_layers: [] },
    ...more,
  } as never);
  const { trunk, notes } = await readForeignModels(spec, "/", CLASSES);
  if (!trunk) throw new Error("no trunk");
  const { parameters } = compile(spec, CLASSES, { trunk }).manifest;
  const trained = parameters.filter(({ part, trained: is }) => part === "fcn" && is);
  const count = trained.reduce(
    (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
    0,
  );
  return { trunk, notes, count };
}

describe("nested models in .h5", () => {
  const { models } = JSON.parse(readFileSync(join(CASES, "keras-expected.json"), "utf8")) as {
    readonly models: Readonly<
      Record<string, { readonly x_shape: readonly number[]; readonly x: number[]; readonly y: number[] }>
    >;
  };

  test.each(Object.keys(models))("%s: weights go by order inside a group, as Keras's", async (file) => {
    const {
      x_shape: [n = 1, h = 1, w = 1, c = 1],
      x,
      y,
    } = models[file]!;
    const { graph, imageInput } = await importKerasFile(join(CASES, file), { ops: OPS });
    const image: NDArray = { dtype: "float32", shape: [n, c, h, w], data: new Float64Array(x.length) };
    x.forEach((value, i) => {
      image.data[(i % c) * h * w + Math.floor(i / c)] = value;
    });
    const [found] = interpret(graph, new Map([[imageInput, image]])).values();
    const [, channels = 1, height = 1, width = 1] = found?.shape ?? [];
    const inKeras = y.map(
      (_, i) => found?.data[(i % channels) * height * width + Math.floor(i / channels)] ?? 0,
    );
    assertClose(inKeras, y, { tolerance: KERAS_FLOAT32, what: file });
  });

  const array = (shape: readonly number[], value: number): StoredArray => ({
    shape,
    data: new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(value),
  });
  const inner = (name: string, more: object = {}) => ({
    class_name: "Conv2D",
    config: { name, filters: 2, kernel_size: 1, use_bias: false, ...more },
  });
  const norm = { class_name: "BatchNormalization", config: { name: "bn", axis: [3], trainable: false } };
  const source = (layers: readonly object[], list: readonly StoredArray[]): KerasSource => ({
    ...{ file: "model.h5", version: 2 as const },
    model: {
      class_name: "Sequential",
      config: {
        layers: [
          { class_name: "InputLayer", config: { name: "i", batch_input_shape: [null, 4, 4, 2] } },
          { class_name: "Sequential", config: { name: "trunk", layers } },
        ],
      },
    },
    weights: {
      kind: "by-name",
      layers: new Map([["trunk", list.map((each, i) => ({ name: `x/variable_${i}:0`, array: each }))]]),
    },
  });
  const valuesOf = (from: KerasSource): Map<string, number> =>
    new Map(
      [...importKeras(from, { ops: OPS }).graph.constants].map(([{ name }, { data }]) => [
        name,
        data[0] ?? 0,
      ]),
    );

  test("what is frozen comes after all that is trainable, statistics behind gains", () => {
    const [k, v] = [[1, 1, 2, 2], [2]];
    const list = [array(k, 1), array(k, 2), array(v, 3), array(v, 4), array(v, 5), array(v, 6)];
    const values = valuesOf(source([inner("a/b"), norm, inner("c")], list));
    expect(Object.fromEntries(values)).toMatchObject({
      ...{ "trunk/a/b.kernel": 1, "trunk/c.kernel": 2, "trunk/bn.gamma": 3, "trunk/bn.beta": 4 },
      ...{ "trunk/bn.moving_mean": 5, "trunk/bn.moving_variance": 6 },
    });
  });

  test("a list that does not fit is a fault that names the layer", () => {
    const [fault] = faultsOf(() => valuesOf(source([inner("a/b"), inner("c")], [array([1, 1, 2, 2], 1)])));
    expect([fault?.code, fault?.at?.node]).toEqual(["E_MODEL_PARSE", "layer trunk/a/b"]);
  });
});

describe("layers behind the cut", () => {
  test("are not judged: a Lambda behind the layer that is asked for", async () => {
    const { count } = await load("lambda-after-feat.keras", [8, 8], { output: "feat" });
    expect(count).toBe(112);
  });

  test("are judged where the features could come from behind them; the hint says what helps", async () => {
    const [fault] = await faultsOfAsync(() => load("lambda-after-feat.keras", [8, 8]));
    expect([fault?.code, fault?.at?.node]).toEqual(["E_MODEL_OP", "layer lambda"]);
    expect(fault?.hint).toContain("name their layer as `output`");
  });

  const input = { class_name: "InputLayer", config: { name: "i", batch_shape: [null, 12, 12, 3] } };
  const conv = {
    class_name: "Conv2D",
    config: { name: "feat", filters: 4, kernel_size: 3, use_bias: false },
  };
  const model = (...layers: readonly object[]): KerasSource => ({
    ...{ file: "model.keras", version: 3 as const },
    model: { class_name: "Sequential", config: { name: "m", layers: [input, conv, ...layers] } },
    weights: {
      kind: "by-path",
      arrays: new Map([["layers/conv2d/vars/0", { shape: [3, 3, 3, 4], data: new Float32Array(108) }]]),
    },
  });
  const pooled = { class_name: "GlobalAveragePooling2D", config: { name: "pool" } };
  const lambda = { class_name: "Lambda", config: { name: "own" } };
  const dense = { class_name: "Dense", config: { name: "out", units: 2 } };
  const crop = {
    class_name: "Resizing",
    config: { name: "crop", height: 5, width: 4, crop_to_aspect_ratio: true },
  };

  test("a Lambda behind the global pooling leaves the features; a line says so", () => {
    const { graph, notes } = importKeras(model(pooled, lambda, dense), { ops: OPS, until: "features" });
    expect(graph.outputs.map(({ value }) => value.type.shape)).toEqual([["N", 4]]);
    expect(notes).toContain("layers behind the features that are not supported were not looked at: own");
  });

  test.each([
    ["a Lambda on feature maps", [lambda, pooled]],
    ["a Resizing that crops, on feature maps", [crop]],
  ])("%s is refused, unless the layer before it is asked for", (_, layers) => {
    const [fault] = faultsOf(() => importKeras(model(...layers), { ops: OPS, until: "features" }));
    expect(fault?.code).toBe("E_MODEL_OP");
    for (const layer of ["feat", "feat/Conv"])
      expect(importKeras(model(...layers), { ops: OPS, until: { layer } }).graph.nodes).toHaveLength(1);
  });

  test.each(["RandomErasing", "RandomHue", "MixUp", "RandAugment"])(
    "%s is left out with a note, wherever it stands",
    (name) => {
      const random = { class_name: name, config: { name: "random" } };
      const { graph, notes } = importKeras(model(random), { ops: OPS });
      expect(graph.nodes).toHaveLength(1);
      expect(notes).toEqual([
        `${name} was left out: it augments in training only; use the spec's \`augment\``,
      ]);
    },
  );

  test("CenterCrop takes the middle, as Keras's [3:12, 3:13] of 16x16", () => {
    const cut = { class_name: "CenterCrop", config: { name: "cut", height: 9, width: 10 } };
    const wide = { class_name: "InputLayer", config: { name: "i", batch_shape: [1, 16, 16, 1] } };
    const from = model();
    const { graph, imageInput } = importKeras(
      { ...from, model: { class_name: "Sequential", config: { name: "m", layers: [wide, cut] } } },
      { ops: OPS, batch: 1 },
    );
    const image = {
      dtype: "float32",
      shape: [1, 1, 16, 16],
      data: Float64Array.from({ length: 256 }, (_, i) => i),
    };
    const [found] = interpret(graph, new Map([[imageInput, image as NDArray]])).values();
    expect([found?.shape, found?.data[0], found?.data.at(-1)]).toEqual([
      [1, 1, 9, 10],
      3 * 16 + 3,
      11 * 16 + 12,
    ]);
  });
});

describe("what Keras trains", () => {
  test.each([
    ["resizing.keras", [48, 40], 112],
    ["upsampling-bilinear.keras", [5, 6], 220],
    ["normalization.keras", [6, 5], 8],
    ["rescaling-first.keras", [32, 32], 112],
  ] as const)("%s of %j: %i numbers", async (file, imshape, expected) => {
    expect((await load(file, imshape)).count).toBe(expected);
  });

  test("a batch norm that is called twice has one scale, and statistics for each call", () => {
    const layers = [
      {
        class_name: "InputLayer",
        name: "i",
        config: { name: "i", batch_input_shape: [null, 4, 4, 3] },
        inbound_nodes: [],
      },
      {
        class_name: "BatchNormalization",
        name: "bn",
        config: { name: "bn", axis: [3], center: false },
        inbound_nodes: [[["i", 0, 0, {}]], [["r", 0, 0, {}]]],
      },
      { class_name: "ReLU", name: "r", config: { name: "r" }, inbound_nodes: [[["bn", 0, 0, {}]]] },
    ];
    const model = {
      class_name: "Functional",
      config: { name: "m", layers, input_layers: [["i", 0, 0]], output_layers: [["bn", 1, 0]] },
    };
    const list = ["gamma", "moving_mean", "moving_variance"].map((name) => ({
      name: `bn/${name}:0`,
      array: { shape: [3], data: Float32Array.of(1, 1, 1) },
    }));
    const weights = { kind: "by-name", layers: new Map([["bn", list]]) } as const;
    const { graph, sources } = importKeras(
      { file: "m.h5", model, version: 2, weights },
      { ops: OPS, imshape: [4, 4] },
    );
    const spec = resolveSpec({
      tasks: ["t"],
      fcn: { path: "m.h5", batchnorm: "train" },
      train_fcn: true,
      imshape: [4, 4],
      batch_size: 2,
      task_layers: [],
    });
    const trunk = prepareTrunk(
      { graph, sources, layout: "NCHW", notes: [], hash: "" },
      spec,
      spec.fcn as ImportedFcn,
    );
    const own = compile(spec, CLASSES, { trunk }).manifest.parameters.filter(({ part }) => part === "fcn");
    expect(own.map(({ name }) => name)).toEqual([
      ...["fcn.bn.gamma", "fcn.bn.moving_mean", "fcn.bn.moving_variance"],
      ...[
        "fcn.bn.moving_mean@bn/BatchNormalization:2.mean",
        "fcn.bn.moving_variance@bn/BatchNormalization:2.var",
      ],
    ]);
  });
});

describe("pixels that a model divides itself", () => {
  test.each([
    ["rescaling-first.keras", [32, 32]],
    ["normalization.keras", [6, 5]],
  ] as const)("%s: scale is 1 by default, and said", async (file, imshape) => {
    const { trunk, notes } = await load(file, imshape);
    expect(trunk.pixelScale).toBe(1);
    expect(notes).toContain(
      "fcn: the model brings pixels of 0 to 255 to its own scale itself: they are not divided before (scale 1)",
    );
  });

  test("a scale, mean or norm of the spec wins, with a warning", async () => {
    for (const [fcn, more, key] of [
      [{ scale: 0.5 }, {}, "scale"],
      [{ mean: [0.5] }, {}, "mean"],
      [{}, { norm: 127.5 }, "norm"],
    ] as const) {
      const { trunk, notes } = await load("rescaling-first.keras", [32, 32], fcn as never, more);
      expect(trunk.pixelScale).toBeUndefined();
      expect(
        notes.filter((note) => note.includes("warning") && note.includes(`the spec's ${key} `)),
      ).toHaveLength(1);
    }
    const { notes } = await load("rescaling-first.keras", [32, 32], { scale: 1 });
    expect(notes.filter((note) => note.includes("scale"))).toEqual([]);
  });

  test("images of 16 bits are brought to 255 first", async () => {
    const { trunk } = await load("rescaling-first.keras", [32, 32], {}, { bit_depth: 16, norm: 65535 });
    expect(trunk.pixelScale).toBe(255 / 65535);
  });

  const of = (
    build: (b: GraphBuilder, x: ReturnType<GraphBuilder["input"]>) => ReturnType<GraphBuilder["input"]>,
  ) => {
    const b = new GraphBuilder("m", OPS);
    const x = build(b, b.input("x", "float32", ["N", 3, 8, 8]));
    const w = b.constant(
      { dtype: "float32", shape: [2, 3, 1, 1], data: Float64Array.of(1, 2, 3, 4, 5, 6) },
      "w",
    );
    b.output("y", b.emit("Conv", [x, w]));
    return b.build();
  };
  const each = (b: GraphBuilder, ...data: number[]) =>
    b.constant({ dtype: "float32", shape: [1, 3, 1, 1], data: Float64Array.from(data) });

  test("what counts: division by 255, means of bytes; not means and deviations of [0, 1]", () => {
    expect(expectsBytePixels(of((b, x) => b.div(x, b.scalar(255))))).toBe(true);
    expect(expectsBytePixels(of((b, x) => b.sub(b.div(x, b.scalar(127.5)), b.scalar(1))))).toBe(true);
    expect(expectsBytePixels(of((b, x) => b.sub(x, each(b, 123.7, 116.3, 103.5))))).toBe(true);
    expect(
      expectsBytePixels(
        of((b, x) => b.div(b.sub(x, each(b, 0.485, 0.456, 0.406)), each(b, 0.229, 0.224, 0.225))),
      ),
    ).toBe(false);
    expect(expectsBytePixels(of((b, x) => b.sub(b.mul(x, b.scalar(2)), b.scalar(1))))).toBe(false);
    expect(expectsBytePixels(of((_, x) => x))).toBe(false);
  });
});

describe("the HDF5 thread", () => {
  test("a damaged file that keeps the library busy is refused, and the thread ended", async () => {
    const begun = performance.now();
    const [fault] = await faultsOfAsync(() => importKerasFile(join(CASES, "hangs.h5"), { ops: OPS }));
    expect(performance.now() - begun).toBeLessThan(REFUSED_MS);
    expect([fault?.code, fault?.at?.file]).toEqual(["E_MODEL_PARSE", join(CASES, "hangs.h5")]);
    expect(fault?.message).toContain("stood still");
  });

  const whole = () => readFileSync(join(FIXTURES, "branches.h5"));
  test("a sound file is read whatever it takes, as long as it goes on", async () => {
    const limits = { ...HDF5_LIMITS, standstillMs: 1_000 };
    expect((await readHdf5(whole(), "whole-model", "m.h5", limits)).layers.size).toBeGreaterThan(0);
  });

  test("more memory than the file warrants: E_MODEL_ALLOC; more time in all: E_MODEL_PARSE", async () => {
    const memory = { ...HDF5_LIMITS, memoryBytes: -1, memoryPerByte: 0 };
    const time = { ...HDF5_LIMITS, startMs: 0, steps: 0 };
    for (const [limits, code] of [
      [memory, "E_MODEL_ALLOC"],
      [time, "E_MODEL_PARSE"],
    ] as const) {
      const bytes = readFileSync(join(CASES, "hangs.h5"));
      const [fault] = await faultsOfAsync(() => readHdf5(bytes, "whole-model", "m.h5", limits));
      expect(fault?.code).toBe(code);
    }
  });
});
