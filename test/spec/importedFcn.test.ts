// The three ways to name a feature extractor, and the faults of the imported one.
import { describe, expect, test } from "vitest";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import { faultsOf } from "./faultsOf.ts";

const messages = (more: object): string[] =>
  faultsOf(() => resolveSpec({ tasks: ["a"], ...more } as unknown as SpecInput)).map(
    ({ message }) => message,
  );

describe("an imported fcn", () => {
  test("is a path, or a map with its settings", () => {
    const defaults = {
      output: null,
      mean: null,
      std: null,
      scale: null,
      layout: "auto",
      batchnorm: "frozen",
      train: [],
      fixed: [],
    };
    expect(resolveSpec({ tasks: ["a"], fcn: "trunk.onnx" }).fcn).toEqual({ path: "trunk.onnx", ...defaults });
    const fcn = { path: "trunk.h5", mean: 0.5, std: [0.2, 0.3, 0.4], batchnorm: "train" } as const;
    const resolved = { ...defaults, ...fcn, mean: [0.5], std: [0.2, 0.3, 0.4] };
    expect(resolveSpec({ tasks: ["a"], fcn }).fcn).toEqual(resolved);
  });

  test("reports the faults of the kind that was meant", () => {
    expect(messages({ fcn: { path: "trunk.onnx", outptu: "x", layout: "NCWH" } })).toEqual([
      'expected "auto", "NCHW" or "NHWC", found "NCWH"',
      'unknown key "outptu"',
    ]);
    expect(messages({ fcn: { layers: ["x"] } })).toEqual([
      'expected a number of filters (1 to 65536), "p", "d" or "r", found "x"',
    ]);
    expect(messages({ fcn: 3 })).toEqual([
      "expected a map {layers: [...]}, the path of a model file (.onnx, .h5, .keras) or a map {path: ...}, found 3",
    ]);
  });

  test("may be trained from a node on, which layers may not", () => {
    expect(resolveSpec({ tasks: ["a"], fcn: "t.onnx", train_fcn: { from: "layer4" } }).train_fcn).toEqual({
      from: "layer4",
    });
    expect(messages({ fcn: { layers: [4] }, train_fcn: { from: "layer4" } })).toEqual([
      "{from: name} is for an imported fcn; expected true or false",
    ]);
  });
});
