// Runs that earlier versions wrote are evaluated, exported and gone on with, wherever they lie now, for ever:
// of commit ccb140a (hashes in place of the spec in checkpoints, an absolute folder in run.json), of run.json
// in version 2, and of bundles in version 2.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { type FitOptions, MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { OLDER_RUN_LOSS } from "../tolerances.ts";
import { snapshot } from "./snapshot.ts";
import { OLDER_RUNS, olderRuns } from "./trainedData.ts";

async function resume(folder: string, file: string, options: FitOptions = {}, text?: string) {
  const path = join(folder, file);
  const spec = parseSpec(text ?? (await readFile(path, "utf8")), path);
  await using trainer = new MultiTaskTrainer(experimentFromSpec(spec, path));
  return await trainer.fit(3, { resume: true, ...options });
}

test.each(OLDER_RUNS)("%s: evaluates to the figures of the mttc that wrote it", async (name) => {
  await using data = await olderRuns();
  const folder = join(data.folder, "out", name);
  const before = await snapshot(folder);
  await using run = await TrainedRun.open(folder);
  const report = await run.evaluate(await run.labels());
  const then = JSON.parse(await readFile(join(data.folder, `${name}.evaluation.json`), "utf8"));
  expect(report.images).toBe(then.images);
  for (const [task, figures] of Object.entries(report.tasks)) {
    const { loss, ...counts } = then.tasks[task];
    expect(figures).toMatchObject(counts);
    expect(Math.abs(figures.loss - loss)).toBeLessThan(OLDER_RUN_LOSS);
  }
  expect(run.warnings.join("\n")).toContain(`looked for in ${data.folder}`);
  expect(await snapshot(folder)).toEqual(before);
});

test.each(OLDER_RUNS)("%s: exports with parity", async (name) => {
  await using data = await olderRuns();
  await using run = await TrainedRun.open(join(data.folder, "out", name));
  const { checks, images } = await exportRun(run, { split: true });
  expect(images).toBe(6);
  expect(checks.length).toBeGreaterThan(5);
  expect(checks.every(({ passed }) => passed)).toBe(true);
});

test.each(OLDER_RUNS)("%s: is gone on with, and its spec is known from then on", async (name, file) => {
  await using data = await olderRuns();
  const history = await resume(data.folder, file);
  expect(history.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  const progress = await readFile(
    join(data.folder, "out", name, "checkpoints/epoch-0003/progress.json"),
    "utf8",
  );
  expect(JSON.parse(progress).fingerprint.spec).toMatchObject({ lr: 0.001, batch_size: 4 });
});

test.each(OLDER_RUNS)(
  "%s: is refused under another spec, whose keys are named, and left alone",
  async (name, file) => {
    await using data = await olderRuns();
    const folder = join(data.folder, "out", name);
    const before = await snapshot(folder);
    const text = `${await readFile(join(data.folder, file), "utf8")}\nlr: 0.25\n`;
    const faults = await faultsOfAsync(() => resume(data.folder, file, {}, text));
    expect(faults.map(({ code }) => code)).toEqual(["E_CKPT_MISMATCH", "E_CKPT_MISMATCH"]);
    expect(faults[1]).toMatchObject({ at: { path: "lr" }, message: "was 0.001, is 0.25" });
    expect(await snapshot(folder)).toEqual(before);
  },
);

test("one whose spec.yml an earlier version replaced in a refused resume goes on with the right spec", async () => {
  await using data = await olderRuns();
  const file = join(data.folder, "out", "layers", "spec.yml");
  await writeFile(file, (await readFile(file, "utf8")).replace("lr: 0.001", "lr: 0.5"));
  expect((await resume(data.folder, "spec.yml")).length).toBe(3);
});

test("takes missing labels as the mttc that wrote it: in any case, within quotes", async () => {
  await using data = await olderRuns();
  const folder = join(data.folder, "out", "layers");
  const figures = async () => {
    await using run = await TrainedRun.open(folder);
    return (await run.evaluate(await run.labels())).tasks;
  };
  const before = await figures();
  for (const [name, word] of [
    ["val.csv", " none "],
    ["train.csv", '"NA"'],
  ] as const) {
    const table = join(data.folder, name);
    await writeFile(
      table,
      (await readFile(table, "utf8")).replace(/,,/, `,${word},`).replace("red", '" red "'),
    );
  }
  expect(await figures()).toEqual(before);
  expect((await resume(data.folder, "spec.yml")).length).toBe(3);
  // It was written anew, and stays what it was.
  expect(await figures()).toMatchObject({ colour: { labelled: before.colour?.labelled } });
});

test("with other labels says so, and takes them when told to", async () => {
  await using data = await olderRuns();
  const table = join(data.folder, "train.csv");
  await writeFile(table, `${await readFile(table, "utf8")}images/train-1.png,red,bar\n`);
  const faults = await faultsOfAsync(() => resume(data.folder, "spec.yml"));
  expect(faults).toMatchObject([
    { code: "E_CKPT_MISMATCH", hint: expect.stringContaining("--accept-new-labels") },
  ]);
  expect((await resume(data.folder, "spec.yml", { acceptNewLabels: true })).length).toBe(3);
});

test("of an imported trunk whose file has changed is neither exported nor gone on with", async () => {
  await using data = await olderRuns();
  const file = join(data.folder, "trunk.onnx");
  const bytes = await readFile(file);
  // A number of a weight: the graph stays the same.
  const place = bytes.length - 700;
  bytes[place] = (bytes[place] ?? 0) ^ 1;
  await writeFile(file, bytes);
  await using run = await TrainedRun.open(join(data.folder, "out", "imported"));
  expect((await run.evaluate(await run.labels())).images).toBe(6);
  expect(await faultsOfAsync(() => exportRun(run))).toMatchObject([{ code: "E_CKPT_MISMATCH" }]);
  expect(await faultsOfAsync(() => resume(data.folder, "imported.yml"))).toMatchObject([
    { code: "E_CKPT_MISMATCH" },
  ]);
});
