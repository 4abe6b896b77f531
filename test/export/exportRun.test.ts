// An export from a trained run, with ONNX Runtime: agreement with the trainer for nets of every kind, refusal
// of files that do not agree, all files or none, and predictions from the written file.
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { csvCell, longCsv } from "../../cli/predictionRows.ts";
import { resolveSpec } from "../../compiler/spec/parseSpec.ts";
import type { SpecInput } from "../../compiler/spec/schema.ts";
import type { ClassAnswer } from "../../compiler/tasks/classAnswers.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../../runtime/export/parity.ts";
import { Predictor } from "../../runtime/export/predictor.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { makeTinyData } from "../cli/tinyData.ts";
import { overlaid } from "../overlaid.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";

const BASE: SpecInput = {
  train_labels: "train.csv",
  val_labels: "val.csv",
  filepaths: "file",
  tasks: ["colour", "its shape"],
  imshape: [16, 16],
  fcn: { layers: [4, "p"] },
  train_fcn: true,
  shared_layers: [6],
  task_layers: [4, "d"],
  batch_size: 12,
  logdir: "run",
};

/** A trainer on `folder` after one epoch. */
async function trained(folder: string, changes: Partial<SpecInput> = {}): Promise<MultiTaskTrainer> {
  const spec = resolveSpec({ ...BASE, ...changes });
  const experiment = {
    spec,
    baseDirectory: folder,
    trainRows: undefined,
    valRows: undefined,
    classes: undefined,
  };
  const trainer = new MultiTaskTrainer(experiment);
  await trainer.fit(1);
  return trainer;
}

test("every file of an export agrees with the trainer, whatever the layers", async () => {
  await using data = await makeTinyData();
  const kinds: Partial<SpecInput>[] = [
    { logdir: "a", batchnorm: true, shared_layers: [6, "r"], global_pooling: "average" },
    { logdir: "b", separable: true, batchnorm: true, single_channel: true, val_labels: null },
    { logdir: "c", train_fcn: false, shared_layers: [], norm: 100, padding: "valid" },
  ];
  for (const changes of kinds) {
    await using trainer = await trained(data.folder, changes);
    const { checks, images, directory } = await exportRun(trainer, { split: true });
    expect(directory).toBe(join(data.folder, String(changes.logdir), "export"));
    expect(images).toBe(changes.val_labels === null ? 36 : 12);
    const tasks = 2 * 3; // whole, own file and head
    expect(checks.length).toBe(tasks + (changes.shared_layers?.length === 0 ? 1 : 2));
    for (const { largestDifference, passed } of checks) {
      expect(passed).toBe(true);
      expect(largestDifference).toBeLessThanOrEqual(PARITY_TOLERANCE);
    }
  }
});

test("a file that does not agree with the trainer is refused, and nothing is written", async () => {
  await using data = await makeTinyData();
  await using trainer = await trained(data.folder);
  const parameters = await trainer.parameters();
  const bias = parameters.get("tasks.colour.dense.bias");
  if (!bias) throw new Error("no such parameter");
  const off = [...parameters, ["tasks.colour.dense.bias", bias.map((x, i) => x + 1e-3 * i)]] as const;
  const liar = overlaid(trainer, { parameters: async () => new Map(off) });
  const faults = await faultsOfAsync(() => exportRun(liar, { split: true }));
  expect(faults.map(({ code, at }) => [code, at?.file])).toEqual([
    ["E_PARITY", "model.onnx"],
    ["E_PARITY", "colour.onnx"],
    ["E_PARITY", "head-colour.onnx"],
  ]);
  expect(await readdir(join(data.folder, "run"))).not.toContain("export");
  expect((await readdir(join(data.folder, "run"))).filter((name) => name.startsWith(".tmp"))).toEqual([]);
});

test("an earlier export is replaced as a whole, a folder with other files is refused", async () => {
  await using data = await makeTinyData();
  await using trainer = await trained(data.folder);
  const directory = join(data.folder, "models");
  await mkdir(directory);
  await exportRun(trainer, { directory, split: true });
  await exportRun(trainer, { directory });
  expect((await readdir(directory)).sort()).toEqual([
    "colour.onnx",
    "export.json",
    "its_shape.onnx",
    "model.onnx",
  ]);
  await writeFile(join(directory, "notes.txt"), "mine");
  const [fault] = await faultsOfAsync(() => exportRun(trainer, { directory }));
  expect(fault).toMatchObject({ code: "E_RUN_EXISTS", at: { file: directory } });
  expect(fault?.message).toContain("notes.txt");
  expect(await readFile(join(directory, "notes.txt"), "utf8")).toBe("mine");
});

test("the same run exports the same bytes twice", async () => {
  await using data = await makeTinyData();
  await using trainer = await trained(data.folder, { batchnorm: true });
  const files = await Promise.all(
    ["one", "two"].map(async (name) => {
      const { directory } = await exportRun(trainer, { directory: join(data.folder, name) });
      return await readFile(join(directory, "model.onnx"));
    }),
  );
  expect(files[0]?.equals(files[1] ?? Buffer.alloc(0))).toBe(true);
});

test("the predictor gives what the trainer predicts, for more images than a batch", async () => {
  await using data = await makeTinyData();
  await using trainer = await trained(data.folder);
  const { directory } = await exportRun(trainer);
  await using predictor = await Predictor.open(join(directory, "model.onnx"));
  const paths = Array.from({ length: 36 }, (_, i) => join(data.folder, "images", `train-${i}.png`));
  const expected = await trainer.predict(paths);
  const rows = [];
  for await (const row of predictor.predict(paths)) rows.push(row);
  expect(rows.length).toBe(72);
  expect(rows.map(({ file, task }) => [file, task])).toEqual(
    paths.flatMap((file) => [
      [file, "colour"],
      [file, "its shape"],
    ]),
  );
  for (const [i, row] of rows.filter(({ task }) => task === "its shape").entries()) {
    const answer = row as unknown as ClassAnswer;
    expect(Object.keys(answer.probabilities)).toEqual(["bar", "dot", "ring"]);
    Object.values(answer.probabilities).forEach((value, c) => {
      const right = expected.get("its shape")?.[3 * i + c] ?? Number.NaN;
      expect(Math.abs(value - right)).toBeLessThanOrEqual(PARITY_TOLERANCE);
    });
    expect(answer.probability).toBe(Math.max(...Object.values(answer.probabilities)));
    expect(answer.probabilities[answer.class]).toBe(answer.probability);
  }
  const [fault] = await faultsOfAsync(async () => {
    for await (const _ of predictor.predict([join(data.folder, "train.csv")]));
  });
  expect(fault?.code).toBe("E_IMG_FORMAT");
});

test("cells of the CSV are text for spreadsheets, whatever they begin with", () => {
  expect(["plain", "a,b", 'say "x"', "=1+1", "+1", "-1", "@x", "1-1", ""].map(csvCell)).toEqual([
    "plain",
    '"a,b"',
    '"say ""x"""',
    '"\'=1+1"',
    '"\'+1"',
    '"\'-1"',
    '"\'@x"',
    "1-1",
    "",
  ]);
  const row = { file: "=a.png", task: "t", class: "@b", probability: 0.5, probabilities: { "@b": 0.5 } };
  expect(
    longCsv([openTask({ task: "t", classes: ["@b"] })], false)
      .image([row])
      .trimEnd(),
  ).toBe(`"'=a.png",t,"'@b",0.5,"{""@b"":0.5}"`);
});
