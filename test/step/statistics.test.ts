// Running statistics that are updated together: the numbers are those of single ones to the last bit, in far
// fewer operators; and a step that overflowed leaves them as they were.
import { expect, test } from "vitest";
import { GraphBuilder } from "../../compiler/ir/builder.ts";
import { interpret } from "../../compiler/ir/interpret.ts";
import type { NDArray } from "../../compiler/ir/op.ts";
import type { Graph } from "../../compiler/ir/types.ts";
import { MOST_JOINED } from "../../compiler/ops/concatSplit.ts";
import { OPS } from "../../compiler/ops/table.ts";
import type { GradientGraph } from "../../compiler/step/gradientGraph.ts";
import { emitStatistics } from "../../compiler/step/statistics.ts";
import type { Joining } from "../../compiler/step/updateGroups.ts";
import { assertClose } from "../assertClose.ts";
import { SUM_FLOAT64 } from "../tolerances.ts";
import { randomFeeds } from "./randomFeeds.ts";
import { sameBits } from "./tensors.ts";

type Statistics = GradientGraph["statistics"];

function statistic(name: string, length: number, momentum: number): Statistics[number] {
  const fixed = {
    role: "running_mean",
    part: "fcn",
    initial: { kind: "constant", value: 0 },
    trained: true,
  } as const;
  return { parameter: { ...fixed, name, shape: [length] }, momentum };
}

const FEW: Statistics = [
  statistic("a", 3, 0.9),
  statistic("b", 2, 0.9),
  statistic("c", 3, 0.9),
  statistic("d", 3, 0.99),
  statistic("e", 3, 0.9),
];

function build(statistics: Statistics, joinsUpdates: Joining, scalesLoss = false): Graph {
  const b = new GraphBuilder("statistics", OPS);
  const vector = (prefix: string, { parameter }: Statistics[number]) =>
    [parameter.name, b.input(`${prefix}${parameter.name}`, "float32", parameter.shape)] as const;
  for (const each of statistics) vector("", each);
  const batch = new Map(statistics.map((each) => vector("batch/", each)));
  const isApplied = scalesLoss ? b.input("is_applied", "bool", []) : undefined;
  emitStatistics(b, { joinsUpdates }, { statistics }, { batchOf: (name) => batch.get(name)!, isApplied });
  return b.build();
}

test("vectors of one length and momentum are joined, no more than the device's kernels take by value", () => {
  const joins = (statistics: Statistics) =>
    build(statistics, "alike").nodes.filter(({ op }) => op.name === "Split").length;
  // a, c and e; b has another length, d another momentum.
  expect(joins(FEW)).toBe(1);
  expect(build(FEW, "alike").nodes.length).toBe(2 + 3 + 1 + 2 * 3);
  const many = Array.from({ length: 2 * MOST_JOINED }, (_, i) => statistic(`s${i}`, 4, 0.9));
  expect(joins(many)).toBe(2);
});

test("together or alone, each goes a share of the way to the batch's, to the same bits", () => {
  const alone = build(FEW, "nothing");
  const feeds = randomFeeds(alone, "statistics");
  const [expected, found] = [alone, build(FEW, "alike")].map((graph) => interpret(graph, feeds));
  const inVectors = interpret(build(FEW, "vectors"), feeds);
  for (const [name, value] of expected!) {
    expect(sameBits(found!.get(name), value), name).toBe(true);
    expect(sameBits(inVectors.get(name), value), name).toBe(true);
  }
  for (const { parameter, momentum } of FEW) {
    const [running, batch] = ["", "batch/"].map((prefix) => feeds.get(`${prefix}${parameter.name}`)!.data);
    const wanted = running!.map((value, i) => momentum * value + (1 - momentum) * batch![i]!);
    const next = expected!.get(`next/${parameter.name}`)!.data;
    assertClose(next, wanted, { tolerance: SUM_FLOAT64, what: parameter.name });
  }
});

test("on the CPU vectors of any length are joined if their momentum is one", () => {
  const split = build(FEW, "vectors").nodes.filter(({ op }) => op.name === "Split");
  expect(split.map(({ outputs }) => outputs.length)).toEqual([4]);
});

test.each(["alike", "vectors", "nothing"] as const)(
  "where a step can overflow, joined: %s, one that did leaves them",
  (joins) => {
    const graph = build(FEW, joins, true);
    const infinite: NDArray = { dtype: "float32", shape: [3], data: new Float64Array(3).fill(Infinity) };
    const flag: NDArray = { dtype: "bool", shape: [], data: Float64Array.of(0) };
    const feeds = new Map([
      ...randomFeeds(graph, "kept"),
      ["batch/a", infinite],
      ["is_applied", flag],
    ] as const);
    for (const [name, next] of interpret(graph, feeds))
      expect(sameBits(next, feeds.get(name.replace("next/", ""))!), name).toBe(true);
  },
);
