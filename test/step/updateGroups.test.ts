// Small tensors that are updated together: the numbers are those of single updates to the last bit, in far
// fewer operators.
import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import type { Parameter, ParameterRole } from "../../compiler/model/parameters.ts";
import { MOST_JOINED } from "../../compiler/ops/concatSplit.ts";
import { OPS } from "../../compiler/ops/table.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { emitUpdate } from "../../compiler/step/update.ts";
import { type Joining, updateGroups } from "../../compiler/step/updateGroups.ts";
import { randomFeeds } from "./randomFeeds.ts";
import { sameBits } from "./tensors.ts";

function parameter(name: string, role: ParameterRole, shape: readonly number[]): Parameter {
  return { name, role, shape, part: "fcn", initial: { kind: "constant", value: 0 }, trained: true };
}

const PARAMETERS: readonly Parameter[] = [
  parameter("k1", "kernel", [4, 2, 3, 3]),
  parameter("s1", "norm_scale", [4]),
  parameter("b1", "norm_bias", [4]),
  parameter("k2", "kernel", [4]),
  parameter("k3", "kernel", [4, 2, 3, 3]),
  parameter("s2", "norm_scale", [3]),
  parameter("b2", "bias", [4]),
  { ...parameter("v", "log_variance", []), part: "tasks.a", task: "a" },
];

const names = (groups: readonly Parameter[][]) => groups.map((group) => group.map(({ name }) => name));

test("small tensors of one shape are joined if they decay alike; log variances are not", () => {
  const groups = updateGroups(PARAMETERS, "alike");
  expect(names(groups)).toEqual([["k1", "k3"], ["s1", "b1", "b2"], ["k2"], ["s2"], ["v"]]);
  const large = [1, 2].map((i) => parameter(`large${i}`, "kernel", [512, 513]));
  expect(updateGroups(large, "alike")).toHaveLength(2);
  expect(updateGroups(PARAMETERS, "nothing").every((group) => group.length === 1)).toBe(true);
});

test("vectors of any length are joined if they decay alike, kernels are not", () => {
  const groups = updateGroups(PARAMETERS, "vectors");
  expect(names(groups)).toEqual([["k1"], ["s1", "b1", "s2", "b2"], ["k2"], ["k3"], ["v"]]);
  const large = [1, 2].map((i) => parameter(`large${i}`, "bias", [2 ** 18 + 1]));
  expect(updateGroups(large, "vectors")).toHaveLength(2);
  const many = Array.from({ length: 3 * MOST_JOINED }, (_, i) => parameter(`b${i}`, "bias", [i + 1]));
  expect(updateGroups(many, "vectors")).toHaveLength(1);
});

test.each(["alike", "vectors"] as const)(
  "dozens of vectors take a few operators, joining: %s",
  (joinsUpdates) => {
    const many = Array.from({ length: MOST_JOINED }, (_, i) => parameter(`b${i}`, "bias", [4]));
    const b = new GraphBuilder("update", OPS);
    const spec = resolveSpec({ tasks: ["a"], fcn: { layers: [4] }, train_fcn: true });
    emitUpdate(
      b,
      { spec, joinsUpdates },
      {
        parameters: many,
        gradientOf: ({ name, shape }) => b.input(`gradient/${name}`, "float32", shape),
        inverseCount: () => b.scalar(1),
      },
    );
    expect(b.build().nodes.length).toBeLessThan(MOST_JOINED);
  },
);

test("no more are joined than the device's kernels take by value", () => {
  const many = Array.from({ length: 2 * MOST_JOINED + 1 }, (_, i) => parameter(`b${i}`, "bias", [4]));
  expect(updateGroups(many, "alike").map(({ length }) => length)).toEqual([MOST_JOINED, MOST_JOINED, 1]);
});

test("kernels whose update looks at all of them are not joined, nor what moves at another rate", () => {
  const perTensor = updateGroups(PARAMETERS, "alike", { isPerTensor: true, rateOf: () => 1 });
  expect(names(perTensor)).toEqual([["k1"], ["s1", "b1", "b2"], ["k2"], ["k3"], ["s2"], ["v"]]);
  const rateOf = ({ name }: Parameter): number => (name === "b1" ? 0.1 : 1);
  const byRate = updateGroups(PARAMETERS, "alike", { isPerTensor: false, rateOf });
  expect(names(byRate)).toEqual([["k1", "k3"], ["s1", "b2"], ["b1"], ["k2"], ["s2"], ["v"]]);
});

describe.each(["adam", "adamw", "momentum", "lars"] as const)("with %s", (optimizer) => {
  test.each([
    [false, "alike"],
    [true, "alike"],
    [false, "vectors"],
  ] as const)(
    "the next state is that of single updates to the bit; scaled: %s, joining: %s",
    (scalesLoss, joining) => {
      const spec = resolveSpec({
        tasks: ["a"],
        fcn: { layers: [4] },
        train_fcn: true,
        optimizer,
        weight_decay: 0.1,
        ema: 0.9,
        layer_lr: 0.5,
      });
      const build = (joinsUpdates: Joining): Graph => {
        const b = new GraphBuilder("update", OPS);
        const input = (name: string, shape: readonly number[]) =>
          b.findInput(name) ?? b.input(name, "float32", shape);
        emitUpdate(
          b,
          { spec, scalesLoss, joinsUpdates },
          {
            parameters: PARAMETERS,
            gradientOf: ({ name, shape }) => input(`gradient/${name}`, shape),
            inverseCount: () => input("inverse_count", []),
          },
        );
        return b.build();
      };
      const [single, joined] = [build("nothing"), build(joining)];
      const feeds = randomFeeds(single, "update groups");
      const run = (graph: Graph): ReadonlyMap<string, NDArray> => interpret(graph, feeds);
      const expected = run(single);
      const found = run(joined);
      expect([...found.keys()].sort()).toEqual([...expected.keys()].sort());
      for (const [name, value] of expected) expect(sameBits(found.get(name), value), name).toBe(true);
    },
  );
});
