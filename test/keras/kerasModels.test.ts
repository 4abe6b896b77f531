// Models that Keras 2 and 3 saved (test/fixtures/keras), imported and run: on the float64 interpreter
// against Keras's float64, on ONNX Runtime against its float32. Keras sees images as NHWC; graphs of ours
// take and give NCHW.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { decodeSafetensors } from "../../compiler/codec/safetensors.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import { verifyGraph } from "../../compiler/ir/verify.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { ImportedKeras } from "../../compiler/read/keras/importKeras.ts";
import { importKerasFile } from "../../runtime/models/kerasFile.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runOnOrt } from "../ops/runOnOrt.ts";
import { KERAS_FLOAT32, KERAS_FLOAT64, KERAS_RESIZED } from "../tolerances.ts";

const folder = join(import.meta.dirname, "../fixtures/keras");
const files = readdirSync(folder).filter((name) => /\.(h5|keras)$/.test(name));
const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

type Precision = "float32" | "float64";

/** The fixture's input, and Keras's outputs of one precision, as NDArrays in Keras's order. */
function readFixture(file: string, precision: Precision): { input: NDArray; outputs: Map<string, NDArray> } {
  const path = join(folder, file.replace(/\.\w+$/, ".safetensors"));
  const { tensors } = decodeSafetensors(readFileSync(path), path);
  const arrays = [...tensors].map(([name, { dtype, shape, data }]): [string, NDArray] => {
    const bytes = Uint8Array.from(data).buffer;
    const numbers = dtype === "float64" ? new Float64Array(bytes) : new Float32Array(bytes);
    return [name, { dtype: "float32", shape, data: Float64Array.from(numbers) }];
  });
  const input = arrays.find(([name]) => name === "input")?.[1];
  const outputs = arrays.filter(([name]) => name.startsWith(`${precision}/`));
  if (!input) throw new Error(`${path} has no input`);
  return {
    input,
    outputs: new Map(outputs.map(([name, array]) => [name.slice(precision.length + 1), array])),
  };
}

/** The array with its axes in another order; arrays without four axes stay. */
function reorder(array: NDArray, perm: readonly [number, number, number, number]): NDArray {
  const { shape, data, dtype } = array;
  if (shape.length !== 4) return array;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const to = perm.map((axis) => shape[axis]!);
  const result = Float64Array.from(data, (_, at) => {
    let [rest, from] = [at, 0];
    for (let axis = 3; axis >= 0; axis--) {
      from += (rest % to[axis]!) * strides[perm[axis]!]!;
      rest = Math.floor(rest / to[axis]!);
    }
    return data[from]!;
  });
  return { dtype, shape: to, data: result };
}

function toNchw(array: NDArray): NDArray {
  return reorder(array, [0, 3, 1, 2]);
}

const imported = new Map<string, Promise<ImportedKeras>>();

/** Imports a fixture for the size of its input, once. */
function importFixture(file: string): Promise<ImportedKeras> {
  const known = imported.get(file);
  if (known) return known;
  const [, height = 0, width = 0] = readFixture(file, "float32").input.shape;
  const result = importKerasFile(join(folder, file), { ops: OPS, imshape: [height, width] });
  imported.set(file, result);
  return result;
}

function compare(
  found: ReadonlyMap<string, NDArray>,
  expected: ReadonlyMap<string, NDArray>,
  tolerance: number,
): void {
  expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
  for (const [name, right] of expected) {
    const [actual, wanted] = [found.get(name)!, toNchw(right)];
    expect(actual.shape, name).toEqual(wanted.shape);
    assertClose(actual.data, wanted.data, { tolerance, what: name });
  }
}

describe.each(files)("%s", (file) => {
  it("gives Keras's float64 results on the reference interpreter", async () => {
    const { graph, imageInput } = await importFixture(file);
    verifyGraph(graph, { allowOwnOps: false, after: "import" });
    const { input, outputs } = readFixture(file, "float64");
    const tolerance = file.startsWith("shapes") ? KERAS_RESIZED : KERAS_FLOAT64;
    compare(interpret(graph, new Map([[imageInput, toNchw(input)]])), outputs, tolerance);
  });

  it("gives Keras's float32 results on ONNX Runtime", async () => {
    const { graph, imageInput } = await importFixture(file);
    const { input, outputs } = readFixture(file, "float32");
    compare(runOnOrt(library, graph, new Map([[imageInput, toNchw(input)]]), OPS), outputs, KERAS_FLOAT32);
  });
});

describe("a channels_last model", () => {
  it("becomes NCHW without transposes where no layer mixes axes", async () => {
    for (const name of ["branches", "mobile", "convolutions", "nested", "activations"])
      for (const file of files.filter((candidate) => candidate.startsWith(name))) {
        const { graph } = await importFixture(file);
        expect(
          graph.nodes.filter(({ op }) => op.name === "Transpose"),
          file,
        ).toEqual([]);
      }
  });

  it("is transposed before Flatten only", async () => {
    const { graph, layers } = await importFixture("sequential.h5");
    const transposes = graph.nodes.filter(({ op }) => op.name === "Transpose");
    expect(transposes.map(({ outputs }) => outputs[0]?.origin)).toEqual(["flat"]);
    expect(layers.get("act")?.type.shape).toEqual(["N", 5, 3, 1]);
  });
});
