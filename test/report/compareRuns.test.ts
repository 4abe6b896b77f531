// `mttc compare`: tables, JSON and a page of several runs; none of them is changed.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compareRuns } from "../../runtime/report/runComparison.ts";
import { runCli } from "../cli/runCli.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { snapshot } from "../runs/snapshot.ts";
import { train, trainedData } from "../runs/trainedData.ts";

let data: TinyData;
const mttc = (...args: string[]) => runCli(data.folder, args);

beforeAll(async () => {
  data = await trainedData();
  await train(data.folder, 1, { logdir: "other", lr: "0.01", tasks: "[colour]" });
});
afterAll(() => data[Symbol.asyncDispose]());

test("runs are compared at their best epochs, also where they have other tasks", async () => {
  const folders = ["run", "other"].map((name) => join(data.folder, name));
  const { runs, tasks, keys } = await compareRuns(folders);
  expect(runs).toEqual([
    expect.objectContaining({ name: "run", directory: folders[0], epochs: 2, bestEpoch: expect.any(Number) }),
    expect.objectContaining({ name: "other", epochs: 1, bestEpoch: 1 }),
  ]);
  expect(tasks.map(({ task }) => task)).toEqual(["colour", "its shape"]);
  const [, shape] = tasks;
  const accuracy = shape?.figures.find(({ name }) => name === "accuracy");
  expect([accuracy?.values[1], accuracy?.best]).toEqual([null, 0]);
  expect(shape?.figures.find(({ name }) => name === "majority")?.best).toBeNull();
  expect(new Map(keys.map(({ key, values }) => [key, values])).get("lr")).toEqual([0.001, 0.01]);
  expect(keys.map(({ key }) => key)).not.toContain("logdir");
});

test("as tables, as JSON and as a page; no run is changed", async () => {
  const before = await snapshot(join(data.folder, "run"));
  const plain = await mttc("compare", "run", "other");
  expect([plain.code, plain.stderr]).toEqual([0, ""]);
  expect(plain.stdout).toMatch(/^run +mean gain +best epoch/m);
  expect(plain.stdout).toMatch(/^lr +0\.001 +0\.01$/m);
  const json = await mttc("compare", "run", "other", "--json", "-o", "page.html");
  expect([json.code, json.stderr]).toEqual([0, expect.stringContaining("written to page.html")]);
  const compared = JSON.parse(json.stdout);
  expect(compared).toEqual(
    JSON.parse(JSON.stringify(await compareRuns(["run", "other"].map((name) => join(data.folder, name))))),
  );
  const page = await readFile(join(data.folder, "page.html"), "utf8");
  expect(page.match(/class="chart"/g)?.length).toBeGreaterThan(5);
  expect(await snapshot(join(data.folder, "run"))).toEqual(before);
  await writeFile(join(data.folder, "mine.html"), "my thesis");
  const refused = await mttc("compare", "run", "other", "-o", "mine.html");
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("[E_RUN_EXISTS]")]);
});

test.each([
  [["run"], "expected two runs or more"],
  [["run", "run/"], "a run is named twice"],
  [["run", "images"], "run.json"],
  [["run", "other", "-o", "page.pdf"], ".html"],
])("mttc compare %j is refused", async (args, words) => {
  const { code, stderr } = await mttc("compare", ...args);
  expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
});
