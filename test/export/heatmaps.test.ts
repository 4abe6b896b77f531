// Heat maps of exported graphs: equal to Grad-CAM in PyTorch, float64, on the interpreter and on ONNX
// Runtime, for any batch, of standard operators alone; layers and classes that there are not are refused by
// name.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { decodeModelProto } from "../../compiler/codec/protobuf.ts";
import { buildExportGraphs } from "../../compiler/export/exportGraphs.ts";
import { exportModel } from "../../compiler/export/exportModel.ts";
import { type HeatmapWish, withHeatmaps } from "../../compiler/export/heatmaps.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { simplifyGraph } from "../../compiler/lower/finishGraph.ts";
import type { Parameter } from "../../compiler/model/parameters.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { Spec } from "../../compiler/spec/schema.ts";
import { buildGradientGraph } from "../../compiler/step/gradientGraph.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { TaskDescription } from "../../compiler/tasks/task.ts";
import { OrtHost } from "../../runtime/ort/ortHost.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { HEATMAP_FLOAT32, HEATMAP_FLOAT64 } from "../tolerances.ts";

interface Case {
  readonly spec: object;
  readonly tasks: Readonly<Record<string, number>>;
  readonly layer: string | null;
  readonly classes?: Readonly<Record<string, number>>;
  readonly number?: boolean;
  /** Maps by task, [images][height][width]. */
  readonly maps: Readonly<Record<string, readonly (readonly (readonly number[])[])[]>>;
}

const fixture = join(import.meta.dirname, "..", "fixtures", "explained", "explained.json");
const { side, images, cases } = JSON.parse(readFileSync(fixture, "utf8")) as {
  readonly side: number;
  readonly images: number;
  readonly cases: readonly Case[];
};

/** The fixture's pictures, uint8 [images, side, side, 3]. */
const PIXELS = Uint8Array.from(
  { length: images * side * side * 3 },
  (_, i) => (i * 37 + Math.floor(i / 50) * 11 + ((i * i) % 91)) % 256,
);

/** The fixture's numbers of a parameter. */
function valuesOf({ name, shape, role }: Parameter): Float32Array {
  const seed = [...name].reduce((sum, c, j) => sum + (j + 1) * (c.codePointAt(0) ?? 0), 0) % 9973;
  const fanIn = shape.length === 4 ? shape.slice(1).reduce((product, size) => product * size, 1) : shape[0];
  const factor = role === "kernel" ? 4 : 1;
  const shift = role === "norm_scale" || role === "running_var" ? 1 : 0;
  const count = shape.reduce((product, size) => product * size, 1);
  return Float32Array.from({ length: count }, (_, i) => {
    const u = ((i * 7919 + seed * 104729) % 1009) / 1009 - 0.5;
    return role === "kernel" ? (u * factor) / Math.sqrt(fanIn ?? 1) : u + shift;
  });
}

function modelOf({ spec: given, tasks, number }: Pick<Case, "spec" | "tasks" | "number">) {
  const names = Object.keys(tasks);
  const kinds = names.map((name) => (number ? { name, kind: "number" } : name));
  const spec: Spec = resolveSpec({
    ...given,
    tasks: kinds,
    imshape: side,
    train_fcn: true,
    batch_size: 2,
  } as never);
  const descriptions = names.map((task): TaskDescription => {
    if (number) return { task, kind: "number", mean: [3], deviation: [2], loss: "l2" };
    return { task, classes: Array.from({ length: tasks[task] ?? 0 }, (_, i) => `class ${i}`) };
  });
  const training = { spec, tasks: openTasks(descriptions), ops: OPS, frozenValue: () => new Float32Array() };
  const values = new Map(
    buildGradientGraph(training, 2).parameters.map((parameter) => [parameter.name, valuesOf(parameter)]),
  );
  return { spec, descriptions, values };
}

function wishOf({ layer, classes = {} }: Case): HeatmapWish {
  return {
    ...(layer === null ? {} : { layer }),
    classes: new Map(Object.entries(classes).map(([task, c]) => [task, `class ${c}`])),
  };
}

/** Largest difference of maps of `first` and the following images from the fixture's. */
function largestDifference(
  { maps }: Case,
  task: string,
  found: { readonly data: ArrayLike<number | bigint>; readonly shape: readonly number[] } | undefined,
  first = 0,
): number {
  const wanted = (maps[task] ?? []).slice(first, first + (found?.shape[0] ?? 0));
  expect(found?.shape).toEqual([wanted.length, wanted[0]?.length, wanted[0]?.[0]?.length]);
  const flat = wanted.flat(2);
  return Math.max(...flat.map((value, i) => Math.abs(value - Number(found?.data[i]))));
}

test("heat maps are PyTorch's, to 1e-6 in float64", () => {
  for (const each of cases) {
    const { spec, descriptions, values } = modelOf(each);
    const model = { spec, tasks: openTasks(descriptions), ops: OPS, values, producer: "mttc" };
    const graphs = buildExportGraphs({ ...model, heatmaps: wishOf(each) }, false);
    const image: NDArray = {
      dtype: "uint8",
      shape: [images, side, side, 3],
      data: Float64Array.from(PIXELS),
    };
    for (const { graph, marks, metadata } of graphs) {
      const folded = simplifyGraph(graph, {});
      const outputs = interpret(withHeatmaps(folded, marks ?? [], OPS), new Map([["image", image]]));
      for (const { name, heatmap } of metadata.tasks) {
        const found = outputs.get(heatmap?.output ?? "");
        expect(largestDifference(each, name, found)).toBeLessThanOrEqual(HEATMAP_FLOAT64);
      }
    }
  }
});

test("and so they are on ONNX Runtime, whatever the batch, beside the answers as they were", async () => {
  await using host = await OrtHost.start({});
  for (const [i, each] of cases.entries()) {
    const { spec, descriptions, values } = modelOf(each);
    const files = exportModel(spec, descriptions, values, { heatmaps: wishOf(each) });
    const plain = exportModel(spec, descriptions, values);
    for (const [at, { file, bytes, metadata }] of files.entries()) {
      const name = `${i} ${file}`;
      await host.openGraph(name, { bytes });
      await host.openGraph(`${name}, plain`, { bytes: plain[at]?.bytes ?? new Uint8Array() });
      for (const [first, count] of [
        [0, images],
        [1, 1],
      ] as const) {
        const size = side * side * 3;
        const data = PIXELS.slice(first * size, (first + count) * size);
        const feeds = { image: { dtype: "uint8", shape: [count, side, side, 3], data } as const };
        const outputs = await host.run(name, feeds);
        const answers = await host.run(`${name}, plain`, feeds);
        for (const { name: task, output, heatmap } of metadata.tasks) {
          const found = outputs.get(heatmap?.output ?? "");
          expect(largestDifference(each, task, found, first)).toBeLessThanOrEqual(HEATMAP_FLOAT32);
          expect(outputs.get(output)?.data).toEqual(answers.get(output)?.data);
        }
      }
    }
  }
});

test("files with heat maps hold standard operators alone, and no filter of the trunk twice", () => {
  const [each] = cases;
  if (!each) throw new Error("no case");
  const { spec, descriptions, values } = modelOf(each);
  const [file] = exportModel(spec, descriptions, values, { heatmaps: {} });
  const [plain] = exportModel(spec, descriptions, values);
  const model = decodeModelProto(file?.bytes ?? new Uint8Array());
  expect(model.opsetImport).toEqual([{ domain: "", version: 18 }]);
  expect(model.graph.node.filter(({ domain }) => domain)).toEqual([]);
  const trunk = (bytes: Uint8Array | undefined): number =>
    decodeModelProto(bytes ?? new Uint8Array()).graph.initializer.filter(
      ({ dims }) => String(dims) === "4,3,3,3",
    ).length;
  expect([trunk(file?.bytes), trunk(plain?.bytes)]).toEqual([1, 1]);
});

describe("what cannot be explained", () => {
  const [each] = cases;
  const refused = (wish: HeatmapWish, change: object = {}) => {
    const { spec, descriptions, values } = modelOf({ ...each, spec: { ...each?.spec, ...change } } as Case);
    return faultsOf(() => exportModel(spec, descriptions, values, { heatmaps: wish }))[0];
  };

  test("a layer that is none is refused with those near it", () => {
    expect(refused({ layer: "shared_layers[2]" })).toMatchObject({
      code: "E_USAGE",
      message: 'the network has no layer "shared_layers[2]"',
      hint: expect.stringContaining("shared_layers[1]"),
    });
  });

  test("a layer without places is refused", () => {
    expect(refused({ layer: "dense" })).toMatchObject({
      code: "E_USAGE",
      message: expect.stringContaining("has no places"),
    });
  });

  test("a class that is none is refused with those near it", () => {
    const classes = new Map([["species", "class 7"]]);
    expect(refused({ classes })).toMatchObject({ code: "E_USAGE", hint: expect.stringContaining("class 0") });
  });

  test("features of one place are refused", () => {
    const layers = ["p", "p", 4, "p"];
    const fault = refused({}, { fcn: { layers }, shared_layers: [], task_layers: [] });
    expect(fault).toMatchObject({ code: "E_USAGE", message: expect.stringContaining("one place alone") });
  });
});
