// What is compared between runs: names that tell them apart, keys that differ, figures and who is best.
import { expect, test } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { evenOrder } from "../../runtime/report/lookedRows.ts";
import { differingKeys } from "../../runtime/report/runComparison.ts";
import { shortNames } from "../../runtime/report/runFacts.ts";
import { tinySpec } from "../cli/tinyData.ts";

test("names take as many folders as tell runs apart", () => {
  expect(shortNames(["/a/one", "/a/two"])).toEqual(["one", "two"]);
  expect(shortNames(["/a/run", "/b/run"])).toEqual(["a/run", "b/run"]);
  expect(shortNames(["/x/a/run", "/y/a/run", "/y/b/run"])).toEqual(["x/a/run", "y/a/run", "y/b/run"]);
  expect(shortNames(["/"])).toEqual(["/"]);
});

test("keys that differ are named down to where they do; where a run lies is none of them", () => {
  const specs = [
    {},
    { lr: "0.01", logdir: "other", augment: "{flip_left_right: true}" },
    { lr: "0.01", augment: "{flip_left_right: true, zoom_scale: 0.2}" },
  ].map((changes) => ({ spec: parseSpec(tinySpec(changes), "spec.yml"), baseDirectory: "/data" }));
  const keys = new Map(differingKeys(specs).map(({ key, values }) => [key, values]));
  expect(keys.get("lr")).toEqual([0.001, 0.01, 0.01]);
  expect(keys.get("augment.zoom_scale")?.[2]).toBe(0.2);
  expect(keys.has("logdir")).toBe(false);
  expect(keys.has("batch_size")).toBe(false);
  expect(differingKeys([specs[0]!, specs[0]!])).toEqual([]);
  const elsewhere = (path: string) => ({
    spec: parseSpec(tinySpec({ train_labels: path }), "spec.yml"),
    baseDirectory: "/data/specs",
  });
  const here = {
    spec: parseSpec(tinySpec({ train_labels: "./a/train.csv" }), "spec.yml"),
    baseDirectory: "/data",
  };
  expect(differingKeys([here, elsewhere("../a/train.csv")])).toEqual([]);
  expect(differingKeys([here, elsewhere("a/train.csv")]).map(({ key }) => key)).toEqual(["train_labels"]);
});

test.each([0, 1, 2, 7, 100, 4_495])(
  "an order of %i rows has each once, the first ones evenly spread",
  (count) => {
    const order = evenOrder(count);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    if (count < 100) return;
    const tenth = [...order.subarray(0, count / 10)].sort((a, b) => a - b);
    const gaps = tenth.map((row, i) => row - (tenth[i - 1] ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(40);
  },
);
