// A finished run does not depend on its training table: evaluation and export take the validation labels, or
// less. Training that goes on says what has changed in the table, and takes it when told to.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { changesText } from "../../runtime/runs/labelRecord.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { snapshot } from "./snapshot.ts";
import { train, trainedData, trainerOf } from "./trainedData.ts";

/** Rewrites a table: its lines without the header in, those to be out. */
async function rewrite(file: string, change: (rows: string[]) => string[]): Promise<void> {
  const [head = "", ...rows] = (await readFile(file, "utf8")).trimEnd().split("\n");
  await writeFile(file, `${[head, ...change(rows)].join("\n")}\n`);
}

const evaluated = async (folder: string) => {
  await using run = await TrainedRun.open(join(folder, "run"));
  return await run.evaluate(await run.labels());
};

test("evaluation and export of a run do without its training table and images", async () => {
  await using data = await trainedData();
  const before = await evaluated(data.folder);
  await rewrite(join(data.folder, "train.csv"), (rows) => [...rows, "images/train-0.png,green,dot,n99"]);
  expect(await evaluated(data.folder)).toEqual(before);
  await rm(join(data.folder, "train.csv"));
  expect(await evaluated(data.folder)).toEqual(before);
  await using run = await TrainedRun.open(join(data.folder, "run"));
  expect(await exportRun(run, { split: true })).toMatchObject({ images: 12, notes: [] });
});

test("export compares on the images that are left, whatever their labels, and on noise without any", async () => {
  await using data = await trainedData();
  for (const row of [0, 5]) await rm(join(data.folder, "images", `val-${row}.png`));
  await writeFile(join(data.folder, "images", "val-7.png"), "no image");
  await rewrite(join(data.folder, "val.csv"), (rows) => rows.map((row) => row.replace("blue", "green")));
  await using run = await TrainedRun.open(join(data.folder, "run"));
  expect(await exportRun(run)).toMatchObject({ images: 9, notes: [] });
  expect((await faultsOfAsync(() => run.labels())).map(({ code }) => code)).toContain("E_LABEL");
  await rm(join(data.folder, "val.csv"));
  const report = await exportRun(run, { split: true });
  expect(report.images).toBe(16);
  expect(report.notes).toEqual([expect.stringMatching(/^compared on noise: .*does not exist/)]);
  expect(report.checks.every(({ passed }) => passed)).toBe(true);
});

test("training goes on with a changed table only when told to, and says what has changed", async () => {
  await using data = await trainedData();
  const folder = join(data.folder, "run");
  await rewrite(join(data.folder, "train.csv"), (rows) => [
    ...rows.slice(1, -1),
    rows.at(-1)?.replace(/,[a-z]*,/, ",blue,") ?? "",
    "images/train-0.png,red,dot,n99",
    "images/val-0.png,red,dot,n99",
  ]);
  const other = { split_leak: "allow" };
  const before = await snapshot(folder);
  const faults = await faultsOfAsync(() => train(data.folder, 3, other, { resume: true }));
  expect(faults).toMatchObject([
    {
      code: "E_CKPT_MISMATCH",
      message: expect.stringMatching(/training labels .*: 1 row added, 0 removed, 2 relabelled$/),
      hint: expect.stringContaining("--accept-new-labels"),
    },
  ]);
  expect(await snapshot(folder)).toEqual(before);
  const lines = await train(data.folder, 3, other, { resume: true, acceptNewLabels: true });
  expect(lines[0]).toMatch(/have changed: 1 row added, 0 removed, 2 relabelled; the run goes on with them/);
  // From now on these are the run's labels.
  expect((await train(data.folder, 4, other, { resume: true })).join("\n")).not.toMatch("have changed");
});

test("the command line offers to go on, and does", async () => {
  await using data = await trainedData();
  await rewrite(join(data.folder, "train.csv"), (rows) => rows.slice(0, -2));
  const refused = await runCli(data.folder, ["train", "spec.yml", "--resume", "--epochs", "3"]);
  expect([refused.code, refused.stdout]).toEqual([2, ""]);
  expect(refused.stderr).toMatch(
    /: 0 rows added, 2 removed, 0 relabelled \[E_CKPT_MISMATCH\]\n {2}--accept-new-labels/,
  );
  const accepting = ["train", "spec.yml", "--resume", "--accept-new-labels", "--epochs", "3"];
  const accepted = await runCli(data.folder, accepting);
  expect([accepted.code, accepted.stdout]).toEqual([0, expect.stringContaining("3 epochs are trained")]);
});

test("a class that is gone stays a class of the run; one that is new cannot become one", async () => {
  await using data = await trainedData();
  const table = join(data.folder, "train.csv");
  await rewrite(table, (rows) => rows.filter((row) => !row.includes(",red,")));
  const lines = await train(data.folder, 3, {}, { resume: true, acceptNewLabels: true });
  expect(lines.join("\n")).toMatch(/task "colour": no training label of red/);
  await rewrite(table, (rows) => rows.map((row) => row.replace("blue", "green")));
  const faults = await faultsOfAsync(() =>
    train(data.folder, 4, {}, { resume: true, acceptNewLabels: true }),
  );
  expect(faults.map(({ code }) => code)).toEqual(["E_CKPT_MISMATCH", "E_LABEL"]);
  expect(faults[0]?.hint).toMatch(/another `logdir`/);
});

test("an unfinished epoch goes on with other labels, in their number of steps", async () => {
  await using data = await makeTinyData();
  {
    await using trainer = trainerOf(data.folder);
    const abort = new AbortController();
    trainer.on("step", ({ epoch, step }) => {
      if (epoch === 1 && step === 2) abort.abort();
    });
    expect(await faultsOfAsync(() => trainer.fit(2, { signal: abort.signal }))).toMatchObject([
      { code: "E_INTERRUPTED" },
    ]);
  }
  await rewrite(join(data.folder, "train.csv"), (rows) => rows.toReversed());
  const faults = await faultsOfAsync(() => train(data.folder, 1, {}, { resume: true }));
  expect(faults[0]?.message).toMatch(/: the same rows in another order$/);
  // 12 rows are one step: the epoch has had two.
  await rewrite(join(data.folder, "train.csv"), (rows) => rows.slice(0, 12));
  await using trainer = trainerOf(data.folder);
  const history = await trainer.fit(2, { resume: true, acceptNewLabels: true });
  expect(history.map(({ steps }) => steps)).toEqual([2, 1]);
});

test("counts read as counts", () => {
  const changes = { added: 2, removed: 1, relabelled: 0, isReordered: false };
  expect(changesText(changes)).toBe("2 rows added, 1 removed, 0 relabelled");
});
