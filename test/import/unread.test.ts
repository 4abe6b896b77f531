// What of a file cannot be read: behind the global pooling it is left out with a line, before it the file is
// refused with all operators that are not known; inputs that are no image are left out alike.
import { expect, test } from "vitest";
import { importTrunk } from "../../compiler/read/onnx/importTrunk.ts";
import { faultsOf } from "../spec/faultsOf.ts";
import { encodeForeign, ints, type NodeText, weights } from "./foreignModel.ts";

const OPTIONS = { file: "m.onnx", imshape: [6, 5] as const, batch: "N" };
const TRUNK: readonly NodeText[] = [
  ["Conv(x, w) -> c"],
  ["Relu(c) -> features"],
  ["GlobalAveragePool(features) -> p"],
];
const initializers = [weights("w", [8, 3, 3, 3]), ints("i", [0])];

function trunkOf(nodes: readonly NodeText[], output?: string) {
  return importTrunk(encodeForeign({ nodes, initializers, image: ["N", 3, 6, 5] }), { ...OPTIONS, output });
}

test.each([
  ["an operator that is refused", ["Loop(p) -> y"], "node of y: Loop: is not supported"],
  ["an operator that nobody knows", ["local::Foo(p) -> y"], "node of y: Foo: operators of the domain local"],
  ["a condition that depends on the image", ["NonZero(p) -> y"], "node of y: NonZero"],
])("behind the pooling: %s is left out, and a line says so", (_, [line = ""], message) => {
  const { output, notes } = trunkOf([...TRUNK, [line]]);
  expect(output).toBe("features");
  expect(notes.join("\n")).toContain(`what cannot be read lies behind them and is not needed: ${message}`);
});

test("what follows from what is not read is not read either", () => {
  const { output, graph } = trunkOf([...TRUNK, ["Foo(p) -> a"], ["Add(a, p) -> b"], ["Bar(b) -> y"]]);
  expect([output, graph.nodes.length]).toEqual(["features", 2]);
});

test("before the pooling the file is refused, with all operators that are not known", () => {
  const nodes: readonly NodeText[] = [["Foo(x) -> f"], ["Relu(f) -> r"], ["Bar(r) -> y"]];
  const faults = faultsOf(() => trunkOf(nodes));
  expect(faults.map(({ code, message }) => [code, message.split(":")[0]])).toEqual([
    ["E_MODEL_OP", "Foo"],
    ["E_MODEL_OP", "Bar"],
  ]);
});

test("between the trunk and the pooling the file is refused: the features would be others", () => {
  const nodes: readonly NodeText[] = [
    ...TRUNK.slice(0, 2),
    ["Foo(features) -> f"],
    ["GlobalMaxPool(f) -> y"],
  ];
  expect(faultsOf(() => trunkOf(nodes))[0]).toMatchObject({ code: "E_MODEL_OP", at: { node: "node of f" } });
});

test("a named output before it is read whatever comes after", () => {
  const nodes: readonly NodeText[] = [
    ...TRUNK.slice(0, 2),
    ["Foo(features) -> f"],
    ["GlobalMaxPool(f) -> y"],
  ];
  expect(trunkOf(nodes, "features").output).toBe("features");
});
