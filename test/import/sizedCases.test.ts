// The small failing inputs of test/cases/models that are about sizes: each compiles, and gives ONNX Runtime's
// features for the named image, alone and within a batch (features.json; README.md there has the table).
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { decodeModelProto, encodeModelProto } from "../../compiler/codec/protobuf.ts";
import { compile } from "../../compiler/compile.ts";
import { exportModel } from "../../compiler/export/exportModel.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { importedValues } from "../../compiler/model/importedTrunk.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { readForeignModels } from "../../runtime/models/foreignModels.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runBytesOnOrt, runOnOrt } from "../ops/runOnOrt.ts";
import { initialState } from "../step/experiment.ts";
import { IMPORTED_FLOAT32 } from "../tolerances.ts";

const FOLDER = join(import.meta.dirname, "../cases/models");
const CLASSES = [
  { task: "t0", classes: ["a", "b", "c"] },
  { task: "t1", classes: ["x", "y"] },
];
const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

interface Expected {
  readonly shape: readonly number[];
  readonly sum: number;
  readonly first4: readonly number[];
}
const { models } = JSON.parse(readFileSync(join(FOLDER, "features.json"), "utf8")) as {
  readonly models: Readonly<Record<string, Expected>>;
};

/** The named image, then `count` - 1 others. */
function images(count: number, side: number): NDArray {
  const [size, plane] = [3 * side * side, 576];
  const data = Float64Array.from({ length: count * size }, (_, i) => {
    const [image, place] = [Math.floor(i / size), i % size];
    const [channel, row] = [Math.floor(place / (side * side)), Math.floor(place / side) % side];
    return Math.fround(((channel * plane + row * 24 + (place % side) + 31 * image) % 97) / 97);
  });
  return { dtype: "float32", shape: [count, 3, side, side], data };
}

function trunkOf(name: string, side: number, output?: string) {
  const bytes = readFileSync(join(FOLDER, `${name}.onnx`));
  return importTrunk(bytes, { file: name, imshape: [side, side], channels: 3, batch: "N", output });
}

/** What ONNX Runtime gives for a value of the file, for as many images; one by one where it fixes one. */
function fileFeatures(name: string, value: string, count: number): Float64Array {
  const model = decodeModelProto(readFileSync(join(FOLDER, `${name}.onnx`)));
  const output = [{ name: value, type: { tensorType: { elemType: 1 } } }];
  const bytes = encodeModelProto({ ...model, graph: { ...model.graph, output } });
  const dims = model.graph.input[0]?.type?.tensorType?.shape?.dim ?? [];
  const all = images(count, 16);
  const each = dims[0]?.dimValue ? 1 : count;
  const size = all.data.length / count;
  const parts = Array.from({ length: count / each }, (_, i) => {
    const image = {
      ...all,
      shape: all.shape.with(0, each),
      data: all.data.slice(i * each * size, (i + 1) * each * size),
    };
    const found = runBytesOnOrt(library, { name, bytes, outputs: [value] }, new Map([["image", image]]));
    return [...(found.get(value)?.data ?? [])];
  });
  return Float64Array.from(parts.flat());
}

describe("features of the named image", () => {
  const cases = [
    ["allowzero-head"],
    ["class-token"],
    ["resize-sizes-batch"],
    ["two-inputs"],
    ["two-inputs", "f"],
    ["opset9"],
  ] as const;
  test.each(cases)("%s %s", (name, output?: string) => {
    const { graph } = trunkOf(name, 24, output);
    const { shape, sum, first4 } = models[`${name}.onnx`] ?? expect.fail();
    for (const count of [1, 4]) {
      const feeds = new Map([["image", images(count, 24)]]);
      for (const found of [interpret(graph, feeds), runOnOrt(library, graph, feeds, OPS)]) {
        const [features = expect.fail()] = found.values();
        expect(features.shape).toEqual(shape.with(0, count));
        const own = features.data.slice(0, features.data.length / count);
        const total = own.reduce((a, b) => a + b, 0);
        assertClose(own.slice(0, 4), first4, { tolerance: IMPORTED_FLOAT32, what: name, allowZero: true });
        assertClose([total], [sum], { tolerance: IMPORTED_FLOAT32, what: name });
      }
    }
  });
});

describe("compile", () => {
  const specs = [
    ["reshape-allowzero-batch1", "r1", 8, 16],
    ["resize-sizes-batch1", "y", 8, 16],
    ["resize-scales", "y", 8, 32],
    ["expand-token", "y", 8, 4],
    ["window-partition", "y", 8, 8],
    ["batch-times-patches", "y", 8, 16],
    ["fault-behind-cut", "r1", 8, 16],
  ] as const;
  test.each(specs)("%s, with its features those of the file", async (name, value, channels, side) => {
    const spec = parseSpec(readFileSync(join(FOLDER, `${name}.yml`), "utf8"), `${name}.yml`);
    const { trunk = expect.fail() } = await readForeignModels(spec, FOLDER, CLASSES);
    const compiled = compile(spec, CLASSES, { trunk, teacher: undefined });
    expect([...compiled.files.keys()].some((file) => file.endsWith(".onnx"))).toBe(true);
    const [{ value: cut } = expect.fail()] = trunk.graph.outputs;
    expect(cut.type.shape.slice(0, 2)).toEqual(["N", channels]);
    const { graph, output } = trunkOf(name, 16, value);
    expect([output, graph.outputs[0]?.value.type.shape]).toEqual([value, ["N", channels, side, side]]);
    for (const count of [1, 3]) {
      const found = interpret(graph, new Map([["image", images(count, 16)]])).get(output);
      assertClose(found?.data ?? [], fileFeatures(name, value, count), {
        tolerance: IMPORTED_FLOAT32,
        what: name,
      });
    }
  });
});

describe("an export of what is compiled for a batch of 4", () => {
  test.each(["expand-token", "window-partition", "batch-times-patches", "resize-sizes-batch1"])(
    "%s takes 1 image and 5, and says of each what it says of it alone",
    async (name) => {
      const spec = parseSpec(readFileSync(join(FOLDER, `${name}.yml`), "utf8"), `${name}.yml`);
      const { trunk = expect.fail() } = await readForeignModels(spec, FOLDER, CLASSES);
      const state = initialState(compile(spec, CLASSES, { trunk, teacher: undefined }));
      const values = new Map([...state].map(([key, { data }]) => [key, Float32Array.from(data)]));
      const all = new Map([...importedValues(trunk, spec), ...values]);
      const [{ bytes } = expect.fail()] = exportModel(spec, CLASSES, all, { trunk });
      const { graph } = decodeModelProto(bytes);
      const outputs = graph.output.map((output) => output.name);
      const [input = ""] = graph.input.map((each) => each.name);
      const data = images(5, 16).data.map((pixel) => Math.floor(255 * pixel));
      const size = data.length / 5;
      const run = (count: number, from = 0) => {
        const bytes8 = { dtype: "uint8", data: data.slice(from * size, (from + count) * size) } as const;
        const feed = { ...bytes8, shape: [count, 16, 16, 3] };
        return runBytesOnOrt(library, { name, bytes, outputs }, new Map([[input, feed]]));
      };
      const whole = run(5);
      for (const output of outputs) {
        const each = Array.from({ length: 5 }, (_, i) => [...(run(1, i).get(output)?.data ?? [])]);
        assertClose(whole.get(output)?.data ?? [], each.flat(), {
          tolerance: IMPORTED_FLOAT32,
          what: output,
        });
      }
    },
  );
});
