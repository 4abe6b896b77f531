// A run's paths are kept relative to its folder: a project that was moved or copied uses its own data, a
// run's folder that was moved alone finds them where they were, and what is used is said.
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { writePatternImages } from "../training/patternImages.ts";
import { train, trainedData } from "./trainedData.ts";

let data: TinyData;
let elsewhere: string;

beforeAll(async () => {
  data = await trainedData();
  elsewhere = await mkdtemp(join(tmpdir(), "mttc-moved-"));
});

afterAll(async () => {
  await data[Symbol.asyncDispose]();
  await rm(elsewhere, { recursive: true, force: true });
});

/** A copy of the project whose validation table has lost its last row. */
async function copyProject(name: string): Promise<string> {
  const copy = join(elsewhere, name);
  await cp(data.folder, copy, { recursive: true });
  const table = join(copy, "val.csv");
  await writeFile(table, (await readFile(table, "utf8")).trimEnd().split("\n").slice(0, -1).join("\n"));
  return copy;
}

test("nothing in run.json leads to where the run lay but what is there as a last resort", async () => {
  const facts = JSON.parse(await readFile(join(data.folder, "run", "run.json"), "utf8"));
  expect(facts).toMatchObject({ format: "mttc-run", version: 2, project: "..", baseDirectory: data.folder });
  expect(await readFile(join(data.folder, "run", "spec.yml"), "utf8")).not.toContain(data.folder);
});

test("a run where it was trained has nothing to say", async () => {
  const { stdout, stderr } = await runCli(data.folder, ["evaluate", "run", "--ep", "cpu"]);
  expect(stdout).toContain("12 images of the validation labels, val.csv\n");
  expect(stderr).toBe("");
});

test("a copied project is evaluated on its own data, and that is said", async () => {
  const copy = await copyProject("copy");
  const { stdout, stderr } = await runCli(copy, ["evaluate", "run", "--json", "--checkpoint", "newest"]);
  const used = {
    table: join(copy, "val.csv"),
    checkpoint: join(copy, "run/checkpoints/epoch-0002"),
    epoch: 2,
  };
  expect(JSON.parse(stdout)).toMatchObject({ images: 11, ...used });
  expect(stderr).toContain(`its data are looked for in ${copy}`);
});

test("a moved project is evaluated, exported and gone on with where it lies now", async () => {
  const moved = join(elsewhere, "deep", "moved");
  await mkdir(join(elsewhere, "deep"));
  await rename(await copyProject("before"), moved);
  await using run = await TrainedRun.open(join(moved, "run"));
  const { rows, table } = await run.labels();
  expect([rows.paths.length, table]).toEqual([11, join(moved, "val.csv")]);
  expect((await exportRun(run)).directory).toBe(join(moved, "run", "export"));
  await train(moved, 3, {}, { resume: true });
  await using again = await TrainedRun.open(join(moved, "run"), {}, { checkpoint: "newest" });
  expect([again.checkpoint.epoch, again.warnings]).toEqual([3, []]);
});

test("a run's folder that was moved alone is evaluated on the data where they were, and that is said", async () => {
  const alone = join(elsewhere, "alone");
  await cp(join(data.folder, "run"), alone, { recursive: true });
  const { code, stdout, stderr } = await runCli(elsewhere, ["evaluate", "alone"]);
  expect([code, stdout]).toEqual([0, expect.stringContaining(join(data.folder, "val.csv"))]);
  expect(stderr).toContain(
    `the run's folder was moved: its data are looked for where they were, in ${data.folder}`,
  );
});

test("rows and tables below the project may move with it, however their paths were given", async () => {
  const project = join(elsewhere, "program");
  const rows = await writePatternImages(join(project, "images"), 12);
  const runtime = { baseDirectory: project, threads: 1 };
  const options = {
    ...{ tasks: ["hue"], fcn: { layers: [2] }, task_layers: [2], batch_size: 4 },
    imshape: [8, 8] as [number, number],
  };
  const logdir = join(project, "runs", "rows");
  {
    const labels = { train_labels: rows.slice(0, 8), val_labels: rows.slice(8) };
    await using trainer = new MultiTaskTrainer({ ...options, ...labels, logdir }, runtime);
    await trainer.fit(1);
  }
  const moved = join(elsewhere, "program-moved");
  await rename(project, moved);
  await using run = await TrainedRun.open(join(moved, "runs", "rows"));
  const { rows: labelled, split, table } = await run.labels();
  expect([split, table, labelled.paths.at(0)]).toEqual(["val", undefined, join(moved, "images", "8.png")]);
  expect((await run.evaluate({ rows: labelled })).images).toBe(4);
});
