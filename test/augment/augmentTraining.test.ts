// Augmentation compiled into training: it is the front of train and grad, nowhere else, and a step on
// augmented images is the step that the same images would give. The leading warps may be left to a loader.
import { afterAll, describe, expect, test } from "vitest";
import { buildAugmentGraph } from "../../compiler/augment/augmentGraph.ts";
import { AUGMENT_OPERATIONS } from "../../compiler/augment/augmentTable.ts";
import { TARGETS } from "../../compiler/bundle/manifest.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { finishGraph } from "../../compiler/lower/finishGraph.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { AUGMENT_KEYS, AUGMENT_NAMES } from "../../compiler/spec/augmentKeys.ts";
import { drawAugmentRows } from "../../runtime/augment/augmentRows.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { compileExperiment, gradAndApply, initialState, randomBatch, train } from "../step/experiment.ts";
import { withRunner } from "../step/graphRunner.ts";
import { AUGMENT_FLOAT32, GRAD_APPLY, PASS_FLOAT64 } from "../tolerances.ts";

const CLASSES = { a: 3, b: 2 };
const BATCH = 4;
const SIDE = 6;

/** Images [N,H,W,C], those of `flipped` mirrored. */
function mirrored(image: NDArray, flipped: readonly number[]): NDArray {
  const data = image.data.map((_, i) => {
    const [channel, column, line] = [i % 3, Math.floor(i / 3) % SIDE, Math.floor(i / (3 * SIDE))];
    const from = flipped[Math.floor(line / SIDE)] === 1 ? SIDE - 1 - column : column;
    return image.data[(line * SIDE + from) * 3 + channel]!;
  });
  return { ...image, data };
}

describe("a bundle", () => {
  test.each(TARGETS)(
    "for %s augments in train and grad, never in evaluate, and says its columns",
    (target) => {
      const augment = { zoom_scale: 0.5, mask: 1 };
      const { bundle } = compileExperiment({ augment }, CLASSES, undefined, target);
      expect(bundle.manifest.augment).toMatchObject({ loader: [], graph: ["zoom_scale", "mask"] });
      const inputsOf = (graph: string) => bundle.manifest.graphs[graph]?.inputs ?? [];
      const columns = ["row", "column", "height", "width"];
      expect(bundle.manifest.augment?.columns).toEqual([
        ...columns.map((name) => `zoom_scale/${name}`),
        ...columns.map((name) => `mask/${name}`),
      ]);
      for (const graph of ["train", "grad"])
        expect(inputsOf(graph)).toContainEqual({
          ...{ name: "augment", dtype: "float32", shape: [BATCH, 8], role: "augment" },
          operations: [
            { name: "zoom_scale", strength: 0.5, columns, stream: "augment zoom_scale" },
            { name: "mask", strength: 1, columns, stream: "augment mask" },
          ],
        });
      for (const graph of ["apply", "evaluate"])
        expect(inputsOf(graph).map(({ name }) => name)).not.toContain("augment");
      expect(inputsOf("augment").map(({ name, shape }) => [name, shape])).toEqual([
        ["image", ["N", SIDE, SIDE, 3]],
        ["augment", ["N", 8]],
      ]);
      expect(bundle.files.has("augment.onnx")).toBe(true);
    },
  );

  test.each(TARGETS)("for %s takes images as they are, whatever is done to them", (target) => {
    const augment = Object.fromEntries(AUGMENT_NAMES.map((name) => [name, true]));
    const { bundle } = compileExperiment({ augment, imshape: [24, 24] }, CLASSES, undefined, target);
    expect(bundle.manifest.augment).toMatchObject({ loader: [], graph: AUGMENT_NAMES });
  });

  test("leaves the leading warps to a loader that does them, and says so", () => {
    const augment = { flip_up_down: true, zoom_scale: 0.5, mask: 1 };
    const { bundle } = compileExperiment({ augment }, CLASSES, undefined, "cpu", { loaderWarps: true });
    expect(bundle.manifest.augment).toMatchObject({
      loader: ["flip_up_down", "zoom_scale"],
      graph: ["mask"],
    });
    expect(bundle.manifest.augment?.columns.length).toBe(9);
    const rowsOf = (graph: string) =>
      bundle.manifest.graphs[graph]?.inputs.find(({ name }) => name === "augment")?.shape;
    expect(["train", "grad", "augment"].map(rowsOf)).toEqual([
      [BATCH, 4],
      [BATCH, 4],
      ["N", 9],
    ]);
  });

  test("has no rows where the loader does everything", () => {
    const augment = { flip_up_down: true, rot90: true };
    const { bundle } = compileExperiment({ augment }, CLASSES, undefined, "cpu", { loaderWarps: true });
    expect(bundle.manifest.augment).toMatchObject({ loader: ["flip_up_down", "rot90"], graph: [] });
    expect(bundle.manifest.graphs.train?.inputs.map(({ name }) => name)).not.toContain("augment");
    expect(bundle.files.has("augment.onnx")).toBe(true);
  });

  test("without augmentation has no trace of it", () => {
    const { bundle } = compileExperiment({}, CLASSES);
    expect(bundle.files.has("augment.onnx")).toBe(false);
    expect(bundle.manifest.augment).toBeUndefined();
    expect(bundle.manifest.graphs.train?.inputs.map(({ name }) => name)).not.toContain("augment");
  });

  test("is the same whatever the order of the operations in the spec", () => {
    const one = compileExperiment({ augment: { mask: 1, hue_delta: 0.1 } }, CLASSES).bundle;
    const other = compileExperiment({ augment: { hue_delta: 0.1, mask: 1 } }, CLASSES).bundle;
    expect(JSON.stringify(other.manifest)).toBe(JSON.stringify(one.manifest));
    expect(other.files.get("train.onnx")).toEqual(one.files.get("train.onnx"));
  });
});

describe.each(TARGETS)("a step for %s", (target) => {
  const spec = { optimizer: "momentum", global_pooling: "average" } as const;
  const plain = compileExperiment(spec, CLASSES);
  const flipped = { ...spec, augment: { flip_left_right: true } };
  const augmented = compileExperiment(flipped, CLASSES, undefined, target);
  const batch = randomBatch(plain.bundle, "flips");
  const flips = [1, 0, 1, 0];
  const rows: NDArray = { dtype: "float32", shape: [BATCH, 1], data: Float64Array.from(flips) };
  const state = initialState(plain.bundle);

  test("on augmented images is the step on images that were augmented before", () => {
    const before = new Map(batch).set("image", mirrored(batch.get("image")!, flips));
    const expected = withRunner("the float64 reference", plain, (run) =>
      train(run, plain.bundle, state, before, 0.1),
    );
    const unmoved = withRunner("the float64 reference", plain, (run) =>
      train(run, plain.bundle, state, batch, 0.1),
    );
    const found = withRunner("the float64 reference", augmented, (run) =>
      train(run, augmented.bundle, state, new Map(batch).set("augment", rows), 0.1),
    );
    for (const [name, { data }] of expected)
      assertClose(found.get(name)!.data, data, { tolerance: PASS_FLOAT64, what: name, allowZero: true });
    const lossOf = (outputs: ReadonlyMap<string, NDArray>) => outputs.get("loss_sum/a")!.data[0]!;
    expect(Math.abs(lossOf(found) - lossOf(unmoved))).toBeGreaterThan(0.001);
  });

  test("is the same whole and in micro-batches, each with its rows", () => {
    const with2 = compileExperiment({ ...flipped, accumulate: 2 }, CLASSES, undefined, target);
    const feeds = new Map(batch).set("augment", rows);
    const whole = withRunner("ONNX Runtime", with2, (run) => train(run, with2.bundle, state, feeds, 0.1));
    const halves = withRunner("ONNX Runtime", with2, (run) =>
      gradAndApply(run, with2.bundle, state, feeds, 0.1, 2),
    );
    for (const [name, { data }] of halves)
      assertClose(data, whole.get(name)!.data, { tolerance: GRAD_APPLY, what: name, allowZero: true });
  });
});

describe("operations with a chance, in the form for CPUs,", () => {
  const SIZE = { height: 40, width: 40, channels: 3 };
  const COUNT = 8;
  const names = AUGMENT_NAMES.filter((name) => "isDrawn" in AUGMENT_OPERATIONS[name]);
  const library = OrtLibrary.open();
  afterAll(() => library[Symbol.dispose]());
  const array = (dtype: NDArray["dtype"], shape: number[], data: Iterable<number>): NDArray => ({
    dtype,
    shape,
    data: Float64Array.from(data),
  });
  const pixels = Array.from({ length: COUNT * 40 * 40 * 3 }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);

  test.each(names.flatMap((name) => [0, 0.4, 1].map((chance) => [name, chance] as const)))(
    "%s with chance %f, are as on all rows",
    (name, chance) => {
      const settings = { [name]: chance };
      const rows = drawAugmentRows({ settings, size: SIZE, seed: 2, epoch: 1 }, 0, COUNT);
      const feeds = new Map([
        ["image", array("uint8", [COUNT, 40, 40, 3], pixels)],
        ["augment", array("float32", [COUNT, rows.length / COUNT], rows)],
      ]);
      const [gathered, whole] = [true, false].map((forCpu) =>
        finishGraph(buildAugmentGraph(OPS, settings, SIZE, COUNT, { forCpu })),
      ) as [Graph, Graph];
      const operators = gathered.nodes.map(({ op }) => op.name);
      expect(operators).toContain("ScatterND");
      const expected = runOnOrt(library, whole, feeds, OPS).get("augmented")!.data;
      for (const found of [runOnOrt(library, gathered, feeds, OPS), interpret(gathered, feeds)]) {
        const worst = found
          .get("augmented")!
          .data.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0);
        expect(worst).toBeLessThan(AUGMENT_FLOAT32);
      }
    },
  );

  test("are gathered in pieces of a batch that is too large for the caches", () => {
    const [count, size] = [7, { height: 256, width: 256, channels: 3 }];
    const settings = { contrast_delta: 0.4, gaussian_blur: 0.5 };
    const rows = drawAugmentRows({ settings, size, seed: 2, epoch: 1 }, 0, count);
    const image = Float64Array.from({ length: count * 256 * 256 * 3 }, (_, i) => (i * 2654435761) % 251);
    const feeds = new Map([
      ["image", array("uint8", [count, 256, 256, 3], image)],
      ["augment", array("float32", [count, rows.length / count], rows)],
    ]);
    const [pieces, whole] = [true, false].map((forCpu) =>
      finishGraph(buildAugmentGraph(OPS, settings, size, count, { forCpu })),
    ) as [Graph, Graph];
    expect(pieces.nodes.filter(({ op }) => op.name === "ScatterND").length).toBe(2);
    const [found, expected] = [pieces, whole].map(
      (graph) => runOnOrt(library, graph, feeds, OPS).get("augmented")!.data,
    ) as [Float64Array, Float64Array];
    const worst = found.reduce((most, x, i) => Math.max(most, Math.abs(x - expected[i]!)), 0);
    expect(worst).toBeLessThan(AUGMENT_FLOAT32);
  });

  test("are those that cost much", () => {
    expect(names).toContain("gaussian_blur");
    expect(names).toContain("jpeg_degrade");
  });
});

/** Operators with a CUDA kernel in stock ONNX Runtime at opset 18, of those that augmentation may need. */
const CUDA_OPERATORS = new Set(
  (
    "Abs Add AveragePool Cast Clip Concat Conv Div Exp Expand Floor Gather Greater GreaterOrEqual GridSample Less " +
    "MatMul Max Min Mul Pad ReduceMax ReduceMean ReduceMin ReduceSum Reshape Resize Round Slice Sub Transpose Where"
  ).split(" "),
);

test("every node of the augmentation has a CUDA kernel, and none is random", () => {
  const settings = Object.fromEntries(AUGMENT_NAMES.map((name) => [name, AUGMENT_KEYS[name].normal]));
  const size = { height: 40, width: 40, channels: 3 };
  const { nodes } = finishGraph(buildAugmentGraph(OPS, settings, size));
  expect(nodes.length).toBeGreaterThan(100);
  expect(nodes.filter(({ op }) => !CUDA_OPERATORS.has(op.name)).map(({ op }) => op.name)).toEqual([]);
  expect(nodes.filter(({ op }) => op.traits.includes("random"))).toEqual([]);
});
