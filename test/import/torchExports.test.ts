// Networks exported by PyTorch's two exporters at several operator sets (fixtures and script:
// test/fixtures/import): whole and cut where mttc cuts by itself, they give PyTorch's float64 numbers on
// the reference.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Dim } from "../../compiler/ir/types.ts";
import { importModel } from "../../compiler/read/onnx/importModel.ts";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { assertClose } from "../assertClose.ts";
import { IMPORTED_FLOAT32 } from "../tolerances.ts";

const FOLDER = join(import.meta.dirname, "../fixtures/import");
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".onnx"))
  .map((name) => name.replace(".onnx", ""));

/** sin(i), as the script makes it. */
const IMAGE: NDArray = {
  dtype: "float32",
  shape: [2, 3, 16, 16],
  data: Float64Array.from({ length: 2 * 3 * 16 * 16 }, (_, i) => Math.sin(i)),
};

interface Expected {
  readonly opset: number;
  readonly shape: readonly number[];
  readonly features: readonly number[];
  readonly logits: readonly number[];
}

function load(name: string): { readonly bytes: Uint8Array; readonly expected: Expected } {
  const expected = JSON.parse(readFileSync(join(FOLDER, `${name}.json`), "utf8")) as Expected;
  return { bytes: readFileSync(join(FOLDER, `${name}.onnx`)), expected };
}

function optionsFor(name: string, batch: Dim) {
  return { file: `${name}.onnx`, imshape: [16, 16] as const, batch };
}

describe.each(NAMES)("%s", (name) => {
  const { bytes, expected } = load(name);

  test.each(["N", 2])("whole, with the batch %s, gives PyTorch's logits", (batch) => {
    const { graph, opset, layout } = importModel(bytes, optionsFor(name, batch));
    expect([opset, layout]).toEqual([expected.opset, "NCHW"]);
    const logits = interpret(graph, new Map([["image", IMAGE]])).get("logits");
    expect(logits?.shape).toEqual([2, 3]);
    assertClose(logits?.data ?? [], expected.logits, { tolerance: IMPORTED_FLOAT32, what: name });
  });

  test("its trunk, cut by itself, gives PyTorch's features", () => {
    const { graph, output } = importTrunk(bytes, optionsFor(name, "N"));
    const features = interpret(graph, new Map([["image", IMAGE]])).get(output);
    expect(features?.shape).toEqual(expected.shape);
    assertClose(features?.data ?? [], expected.features, { tolerance: IMPORTED_FLOAT32, what: name });
  });

  test("nothing of the classifier is left in the trunk, and no constant is unused", () => {
    const { graph } = importTrunk(bytes, optionsFor(name, 4));
    const used = new Set(graph.nodes.flatMap((node) => node.inputs));
    for (const value of graph.constants.keys()) expect(used.has(value), value.name).toBe(true);
    expect([...graph.constants.keys()].some((value) => value.name.startsWith("classifier"))).toBe(false);
    expect(graph.outputs[0]?.value.type.shape[0]).toBe(4);
  });
});

test("parameters keep their names in the file", () => {
  const { bytes } = load("residual-18-dynamo");
  const { graph } = importTrunk(bytes, optionsFor("residual", "N"));
  const names = [...graph.constants.keys()].map((value) => value.name);
  expect(names).toContain("trunk.conv2.weight");
  expect(names).toContain("trunk.down.bias");
});
