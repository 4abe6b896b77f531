// Every row of the written list of import, on models that hold the older or newer form: the imported graph
// on the float64 reference gives what ONNX Runtime gives for the original file; refused operators are
// refused by name.
import { afterAll, describe, expect, test } from "vitest";
import { interpret } from "../../compiler/ir/interpret.ts";
import { importModel, OPSETS } from "../../compiler/read/onnx/importModel.ts";
import type { ImportRule } from "../../compiler/read/onnx/importRule.ts";
import { IMPORT_RULES } from "../../compiler/read/onnx/structure.ts";
import { OrtLibrary } from "../../runtime/ort/library.ts";
import { assertClose } from "../assertClose.ts";
import { runBytesOnOrt } from "../ops/runOnOrt.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { IMPORTED_FLOAT32 } from "../tolerances.ts";
import type { Case } from "./earlyCases.ts";
import {
  encodeForeign,
  graphOf,
  IMAGE_SHAPE,
  imageOf,
  ints,
  outputsOf,
  tensor,
  weights,
} from "./foreignModel.ts";
import { CASES, FUNCTIONS, WINDOWS } from "./importCases.ts";

const library = OrtLibrary.open();
afterAll(() => library[Symbol.dispose]());

const OPTIONS = { file: "m.onnx", imshape: [6, 5] as const, batch: 2 };

function checkCase({ type = "float32", instead, ...model }: Case): void {
  const image = imageOf(model.image?.map(Number));
  const [, , height = 6, width = 5] = image.shape;
  const imported = importModel(encodeForeign(model, type), { ...OPTIONS, imshape: [height, width] });
  const found = interpret(imported.graph, new Map([["x", image]]));
  const original = instead ?? model;
  const outputs = outputsOf(original);
  const bytes = encodeForeign(original, type);
  const expected = runBytesOnOrt(library, { name: "m", bytes, outputs }, new Map([["x", image]]));
  for (const name of outputs) {
    const [actual, wanted] = [found.get(name), expected.get(name)];
    expect([actual?.dtype, actual?.shape]).toEqual([wanted?.dtype, wanted?.shape]);
    assertClose(actual?.data ?? [], wanted?.data ?? [], { tolerance: IMPORTED_FLOAT32, what: name });
  }
}

describe("rows of the list", () => {
  for (const each of CASES)
    test(`${each.row}${each.title ? `, ${each.title}` : ""}: as ONNX Runtime runs the file`, () =>
      checkCase(each));

  test("every row that converts has a case", () => {
    const rows = IMPORT_RULES.filter(({ convert }) => convert);
    const missing = rows.map(rowName).filter((row) => !CASES.some((each) => each.row === row));
    expect(missing).toEqual([]);
  });

  test.each(
    IMPORT_RULES.filter(({ treatment }) => treatment === "refused").map((rule) => [rowName(rule), rule]),
  )("%s is refused by name, with the reason", (_, rule) => {
    const bytes = encodeForeign({
      opset: Math.min(rule.sinceOpset, OPSETS.newest),
      nodes: [[`${rule.operator}(x) -> y`]],
    });
    const [fault] = faultsOf(() => importModel(bytes, OPTIONS));
    expect(fault).toMatchObject({ code: "E_MODEL_OP", at: { file: "m.onnx", node: "node of y" } });
    expect(fault?.message).toContain(rule.operator);
    expect(fault?.message).toContain(rule.reason);
  });

  test("rows are data that a page can print", () => {
    for (const { operator, sinceOpset, treatment, reason } of IMPORT_RULES) {
      expect(operator).toMatch(/^\w+$/);
      expect(sinceOpset).toBeGreaterThanOrEqual(OPSETS.oldest);
      expect(sinceOpset).toBeLessThanOrEqual(OPSETS.newest);
      expect(["migrated", "decomposed", "folded", "removed", "refused"]).toContain(treatment);
      expect(reason.length).toBeGreaterThan(5);
    }
  });
});

describe("windows and functions", () => {
  for (const each of [...WINDOWS, ...FUNCTIONS])
    test(`${each.row}${each.title ? `, ${each.title}` : ""}: as ONNX Runtime runs the file`, () =>
      checkCase(each));
});

describe("forms that are refused", () => {
  const refused: readonly Case[] = [
    {
      row: "Pad wrap",
      opset: 19,
      initializers: [ints("p", [0, 0, 1, 0, 0, 0, 1, 0])],
      nodes: [["Pad(x, p) -> y", { mode: "wrap" }]],
    },
    {
      row: "AveragePool dilations",
      opset: 19,
      nodes: [["AveragePool(x) -> y", { kernel_shape: [2, 2], dilations: [2, 2] }]],
    },
    { row: "Cast to 8-bit floats", opset: 19, nodes: [["Cast(x) -> y", { to: 17 }]] },
    {
      row: "Resize half_pixel_symmetric",
      opset: 19,
      initializers: [tensor("k", "float32", [4], [1, 1, 2, 2])],
      nodes: [["Resize(x, , k) -> y", { coordinate_transformation_mode: "half_pixel_symmetric" }]],
    },
    {
      row: "GridSample cubic of 20",
      opset: 20,
      initializers: [weights("g", [2, 4, 4, 2])],
      nodes: [["GridSample(x, g) -> y", { mode: "cubic" }]],
    },
    {
      row: "GridSample bicubic of 16",
      opset: 16,
      initializers: [weights("g", [2, 4, 4, 2])],
      nodes: [["GridSample(x, g) -> y", { mode: "bicubic" }]],
    },
    {
      row: "statistics of a batch norm",
      opset: 15,
      initializers: ["s", "b", "m", "v"].map((name) => weights(name, [3])),
      nodes: [
        ["BatchNormalization(x, s, b, m, v) -> n, mean, var", { training_mode: 1 }],
        ["Neg(mean) -> y"],
      ],
    },
    {
      row: "Attention with a window",
      opset: 25,
      nodes: [["Attention(x, x, x) -> y", { is_causal: 1, left_window_size: 2 }]],
    },
    { row: "Gelu with an attribute of the future", opset: 20, nodes: [["Gelu(x) -> y", { kind: 1 }]] },
    { row: "ReduceMax of bool", opset: 20, nodes: [["Greater(x, x) -> g"], ["ReduceMax(g) -> y"]] },
    { row: "SpaceToDepth CRD", opset: 28, nodes: [["SpaceToDepth(x) -> y", { blocksize: 1, mode: "CRD" }]] },
    {
      row: "com.microsoft",
      domains: { "com.microsoft": 1 },
      nodes: [["com.microsoft::FusedConv(x, x) -> y"]],
    },
    {
      row: "If on the image",
      nodes: [
        ["ReduceMax(x) -> m"],
        ["Cast(m) -> c", { to: 9 }],
        [
          "If(c) -> y",
          {
            then_branch: { g: graphOf([["Neg(x) -> t"]], ["t"]) },
            else_branch: { g: graphOf([["Abs(x) -> t"]], ["t"]) },
          },
        ],
      ],
    },
    { row: "opset 8", opset: 8, nodes: [["Neg(x) -> y"]] },
    { row: "an opset of the future", opset: OPSETS.newest + 1, nodes: [["Neg(x) -> y"]] },
  ];
  test.each(refused.map((each) => [each.row, each] as const))("%s: E_MODEL_OP", (_, model) => {
    expect(faultsOf(() => importModel(encodeForeign(model), OPTIONS))[0]?.code).toBe("E_MODEL_OP");
  });

  test("all unknown operators are reported together", () => {
    const nodes = [["Foo(x) -> a"], ["local::Bar(a) -> b"], ["Foo(b) -> c"], ["Loop(c) -> y"]] as const;
    const faults = faultsOf(() => importModel(encodeForeign({ nodes, domains: { local: 1 } }), OPTIONS));
    expect(faults.map(({ message }) => message.split(":")[0])).toEqual(["Foo", "Bar", "Loop"]);
  });

  test("what the asked output does not need is not looked at", () => {
    const nodes = [["Neg(x) -> a"], ["Foo(a) -> y"]] as const;
    const { graph } = importModel(encodeForeign({ nodes }), { ...OPTIONS, output: "a" });
    expect(graph.outputs.map(({ name }) => name)).toEqual(["a"]);
    expect(IMAGE_SHAPE).toEqual(graph.outputs[0]?.value.type.shape);
  });
});

function rowName({ operator, sinceOpset }: ImportRule): string {
  return `${operator}-${sinceOpset}`;
}
