// What a new kind of tasks costs: one file (ordinalTask.ts, beside this), one line of the table (here a
// mock of it), and nothing else. A run of the new kind beside a class is trained, evaluated, gone on with,
// exported and predicted.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { figureOf } from "../../compiler/tasks/report.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { dataStats } from "../../runtime/train/dataStats.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";

vi.mock("../../compiler/tasks/taskTable.ts", async (importOriginal) => {
  const { TASK_KINDS } = await importOriginal<typeof import("../../compiler/tasks/taskTable.ts")>();
  const { ORDINAL } = await import("./ordinalTask.ts");
  return { TASK_KINDS: [...TASK_KINDS, ORDINAL] };
});

const SIDE = 8;
/** Lines of the kind's file that are code, without its imports. */
const MOST_LINES = 60;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-test-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Pictures of one level of grey each; the grade is the level's, every sixth row has none. */
async function rowsOf(split: string, count: number) {
  return await Promise.all(
    Array.from({ length: count }, async (_, row) => {
      const grade = row % 4;
      const level = 30 + 60 * grade + (row % 5) + (split === "val" ? 5 : 0);
      const pixels = new Uint8Array(SIDE * SIDE * 3).fill(level);
      // No two files are the same picture.
      pixels[0] = row;
      const filepath = join(folder, `${split}-${row}.png`);
      await sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } })
        .png()
        .toFile(filepath);
      return { filepath, half: grade < 2 ? "dark" : "bright", ripeness: row % 6 === 5 ? null : grade };
    }),
  );
}

test("a kind in a file of its own and a line of the table trains, evaluates, exports and predicts", async () => {
  const source = await readFile(join(import.meta.dirname, "ordinalTask.ts"), "utf8");
  const code = source.split("\n").filter((line) => !/^(import |\/\/|$)/.test(line));
  expect(code.length).toBeLessThanOrEqual(MOST_LINES);
  const [train_labels, val_labels] = [await rowsOf("train", 48), await rowsOf("val", 16)];
  const tasks = ["half", { name: "ripeness", kind: "ordinal" }];
  const logdir = join(folder, "run");
  const options = {
    train_labels,
    val_labels,
    tasks,
    logdir,
    imshape: SIDE,
    batch_size: 16,
    lr: 0.02,
  } as const;
  const network = { fcn: { layers: [8] }, train_fcn: true, shared_layers: [16], task_layers: [16] };
  const trainer = new MultiTaskTrainer({
    ...{ ...options, ...network, global_pooling: "average", task_weights: "adaptive" },
  });
  const history = await trainer.fit(40);
  await trainer.close();
  const mae = figureOf(history.at(-1)?.evaluation?.tasks.ripeness, "mae");
  expect(mae).toBeLessThan(0.5);

  await using run = await TrainedRun.open(logdir);
  const again = await run.evaluate(await run.labels());
  expect(figureOf(again.tasks.ripeness, "mae")).toBe(mae);
  const exported = await exportRun(run);
  expect(exported.checks.every(({ passed }) => passed)).toBe(true);
  await using predictor = await Predictor.open(join(logdir, "export", "model.onnx"));
  const grades: unknown[] = [];
  for await (const row of predictor.predict(val_labels.slice(0, 4).map(({ filepath }) => filepath)))
    if (row.task === "ripeness") grades.push(row.grade);
  expect(grades).toEqual([0, 1, 2, 3]);

  await using resumed = await MultiTaskTrainer.fromRun(logdir);
  expect(await resumed.fit(41)).toHaveLength(41);
  const { classes, train } = await dataStats({ train_labels, tasks });
  expect([classes.ripeness, train.ripeness]).toEqual([["0", "1", "2", "3"], expect.any(Array)]);
}, 120_000);
