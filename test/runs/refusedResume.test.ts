// A resume that is refused leaves the run's folder as it was, to the time of its last change, says what
// differs and how to go on; what can be refused is refused before labels are read.
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { StateEntry } from "../../compiler/bundle/manifest.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import { acquireRunLock } from "../../runtime/files/runLock.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { refuseOtherTensors } from "../../runtime/runs/checkpointTensors.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { compileTraced, numberedClasses } from "../training/tracedGraphs.ts";
import { snapshot } from "./snapshot.ts";
import { train, trainedData } from "./trainedData.ts";

let data: TinyData;

beforeAll(async () => {
  data = await trainedData();
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
});

/** Faults of a resume with keys changed; the folder must be as before, and evaluation must work. */
async function refusal(changes: Readonly<Record<string, string>>) {
  const folder = join(data.folder, "run");
  const before = await snapshot(folder);
  const faults = await faultsOfAsync(() => train(data.folder, 3, changes, { resume: true }));
  expect(await snapshot(folder)).toEqual(before);
  await using run = await TrainedRun.open(folder);
  expect((await run.evaluate(await run.labels())).images).toBe(12);
  return faults;
}

test("names the keys that differ, old value and new, and says how to go on", async () => {
  const faults = await refusal({ lr: "0.25", shared_layers: "[7]", epochs: "9", notes: "other" });
  expect(faults.map(({ code, message, at }) => [code, at?.path, message])).toEqual([
    ["E_CKPT_MISMATCH", undefined, expect.stringMatching(/the spec is not the one .*: shared_layers, lr$/)],
    ["E_CKPT_MISMATCH", "shared_layers", "was [6], is [7]"],
    ["E_CKPT_MISMATCH", "lr", "was 0.001, is 0.25"],
  ]);
  expect(faults.at(-1)?.hint).toMatch(/old values back .* another `logdir`/);
});

test.each([
  { fcn: "{layers: [5, p]}" },
  { tasks: "[colour]" },
  { augment: "{flip_left_right: true}" },
  { seed: "1" },
  { classes: "{colour: [red, blue]}" },
])("under %j leaves the run alone", async (changes) => {
  const [key = ""] = Object.keys(changes);
  const faults = await refusal(changes);
  expect(faults.map(({ code }) => code)).toEqual(["E_CKPT_MISMATCH", "E_CKPT_MISMATCH"]);
  expect(faults[1]?.at?.path).toMatch(new RegExp(`^${key}`));
});

test("is found before the labels are read, as is a run that exists and one that another process trains", async () => {
  const gone = { train_labels: "none.csv" };
  expect(await faultsOfAsync(() => train(data.folder, 3, gone))).toMatchObject([{ code: "E_RUN_EXISTS" }]);
  expect(await refusal({ ...gone, lr: "0.25" })).toMatchObject([{}, { at: { path: "lr" } }]);
  await using _lock = await acquireRunLock(join(data.folder, "run"));
  expect(await refusal(gone)).toMatchObject([{ code: "E_RUN_LOCKED" }]);
});

test("of a folder without a checkpoint leaves no folder behind", async () => {
  const faults = await faultsOfAsync(() => train(data.folder, 1, { logdir: "new/run" }, { resume: true }));
  expect(faults).toMatchObject([{ code: "E_CKPT_NONE" }]);
  expect(
    await faultsOfAsync(() => train(data.folder, 1, { logdir: "new/run", val_labels: "no.csv" })),
  ).toMatchObject([{ code: "E_FILE" }]);
  expect(await readdir(data.folder)).not.toContain("new");
});

test("a run whose run.json is gone is gone on with, and described anew", async () => {
  const file = join(data.folder, "run", "run.json");
  const before = await readFile(file, "utf8");
  await rm(file);
  const lines = await train(data.folder, 2, {}, { resume: true });
  expect(lines.join("\n")).toMatch(/resumed from .*epoch-0002/);
  expect(await readFile(file, "utf8")).toBe(before);
  await writeFile(file, "{}");
  await train(data.folder, 2, {}, { resume: true });
  expect(await readFile(file, "utf8")).toBe(before);
});

test("tensors that do not fit take one line a part, and none for what the optimizer remembers of them", () => {
  const compiled = (shared: number): readonly StateEntry[] => {
    const spec = resolveSpec({
      ...{ tasks: ["a", "b"], fcn: { layers: [2] }, train_fcn: true, imshape: [4, 4], batchnorm: true },
      ...{ shared_layers: [shared], task_layers: [2] },
    });
    return compileTraced(spec, numberedClasses({ a: 2, b: 3 }), {}).bundle.manifest.state;
  };
  const tensors = new Map(
    compiled(3).map(({ name, dtype, shape }) => [name, { name, dtype, shape, data: new Uint8Array() }]),
  );
  const faults = faultsOf(() => refuseOtherTensors(compiled(4), { tensors, path: "ckpt" }, new Set()));
  expect(faults.map(({ at, message }) => [at?.path, message])).toEqual([
    [
      "shared_layers",
      expect.stringMatching(/^5 tensors are of another type or shape, such as shared_layers\[0\]/),
    ],
    [
      "tasks.a",
      expect.stringMatching(/^a tensor is of another type or shape: tasks\.a\.task_layers\[0\]\.kernel/),
    ],
    ["tasks.b", expect.stringMatching(/^a tensor is of another type or shape: tasks\.b/)],
  ]);
  expect(faults.map(({ hint }) => hint !== undefined)).toEqual([false, false, true]);
  tensors.delete("tasks.a.dense.bias");
  tensors.set("tasks.c.dense.bias", { name: "c", dtype: "float32", shape: [1], data: new Uint8Array() });
  const more = faultsOf(() => refuseOtherTensors(compiled(3), { tensors, path: "ckpt" }, new Set()));
  expect(more.map(({ at, message }) => [at?.path, message])).toEqual([
    ["tasks.a", "a tensor is missing: tasks.a.dense.bias"],
    ["tasks.c", "a tensor is not of this model: tasks.c.dense.bias"],
  ]);
});
