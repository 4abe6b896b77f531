// Calls of the API that a program gets wrong: typed errors, and a word where there is nothing to do.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import type { FitOptions } from "../../runtime/train/multiTaskTrainer.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import type { TrainerOptions } from "../../runtime/train/trainerOptions.ts";
import { faultsOf, faultsOfAsync } from "../spec/faultsOf.ts";
import { writePatternImages } from "./patternImages.ts";

let folder: string;
let options: TrainerOptions;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mttc-calls-"));
  const rows = await writePatternImages(join(folder, "images"), 12);
  options = {
    ...{ train_labels: rows, tasks: ["hue", "stripes"], fcn: { layers: [2, "p"] }, train_fcn: true },
    ...{ task_layers: [], imshape: [16, 16], batch_size: 12, logdir: null },
  };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([["runs/train"], [undefined], [null], [7], [["train.csv"]]])(
  "a trainer is not made of %j",
  (value) => {
    const [fault] = faultsOf(() => new MultiTaskTrainer(value as unknown as TrainerOptions));
    expect(fault?.code).toBe("E_USAGE");
    expect(fault?.message).toMatch(/expects an object with the keys of a spec, found /);
    if (typeof value === "string") expect(fault?.hint).toContain("MultiTaskTrainer.fromRun");
  },
);

test.each([-1, 0, 1.5, Number.NaN, Infinity, 2e6, "3", null])("fit(%j) is refused", async (epochs) => {
  await using trainer = new MultiTaskTrainer(options);
  const [fault] = await faultsOfAsync(() => trainer.fit(epochs as number));
  expect([fault?.code, fault?.message]).toEqual([
    "E_USAGE",
    expect.stringContaining("a whole number of epochs from 1"),
  ]);
});

test("options of fit that there are not are refused", async () => {
  await using trainer = new MultiTaskTrainer(options);
  const train = (given: unknown) => faultsOfAsync(() => trainer.fit(1, given as FitOptions));
  expect(await train({ resum: true })).toMatchObject([{ code: "E_USAGE", hint: 'did you mean "resume"?' }]);
  expect(await train(null)).toMatchObject([{ code: "E_USAGE" }]);
  expect(await train(true)).toMatchObject([{ code: "E_USAGE" }]);
});

test("events that there are not, and listeners that are none, are refused", async () => {
  await using trainer = new MultiTaskTrainer(options);
  const on = trainer.on.bind(trainer) as (event: string, listener: unknown) => void;
  const [event] = faultsOf(() => on("epochs", () => undefined));
  expect(event).toMatchObject({ code: "E_USAGE", hint: 'did you mean "epoch"?' });
  expect(event?.message).toContain('no event "epochs"');
  expect(faultsOf(() => on("epoch", "print"))[0]?.message).toContain('listens to "epoch", found "print"');
  expect(faultsOf(() => on("__proto__", () => undefined))[0]?.code).toBe("E_USAGE");
});

test("a second fit for as many epochs trains nothing and says so", async () => {
  const said: string[] = [];
  await using trainer = new MultiTaskTrainer(options);
  const stop = trainer.on("log", ({ message }) => said.push(message));
  await trainer.fit(1);
  expect(said.filter((line) => line.includes("nothing is trained"))).toEqual([]);
  const [first] = await trainer.fit(1);
  expect(said.at(-1)).toBe(
    "nothing is trained: 1 epoch is finished already, and 1 in all were asked for; ask for 2 to train one more",
  );
  const both = await trainer.fit(2);
  expect(both.map(({ epoch }) => epoch)).toEqual([1, 2]);
  expect(both[0]).toEqual(first);
  // Without a listener it reaches standard error.
  stop();
  const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
  await trainer.fit(2);
  expect((await warned).message).toContain("2 epochs are finished already");
});

test("fit while fit trains, and a trainer that is closed, are faults of the call", async () => {
  const trainer = new MultiTaskTrainer(options);
  const first = trainer.fit(1);
  expect(await faultsOfAsync(() => trainer.fit(1))).toMatchObject([{ code: "E_USAGE" }]);
  await first;
  await trainer.close();
  expect(await faultsOfAsync(() => trainer.fit(2))).toMatchObject([
    { code: "E_USAGE", message: "the trainer is closed" },
  ]);
  expect(await faultsOfAsync(() => trainer.evaluate())).toMatchObject([{ code: "E_USAGE" }]);
});

test("predict takes a list of paths, fromRun a folder", async () => {
  await using trainer = new MultiTaskTrainer(options);
  const predict = (paths: unknown) => faultsOfAsync(() => trainer.predict(paths as string[]));
  expect((await predict("a.png"))[0]?.message).toContain('an array of paths, found "a.png"');
  expect((await predict([7]))[0]?.code).toBe("E_USAGE");
  const open = (run: unknown) => faultsOfAsync(() => MultiTaskTrainer.fromRun(run as string));
  expect((await open({ logdir: "run" }))[0]?.message).toContain("the folder of a run, found an object");
  expect((await open(undefined))[0]?.code).toBe("E_USAGE");
});

test("a run without logdir is exported into a folder that is named, and stays", async () => {
  const trainer = new MultiTaskTrainer(options);
  await trainer.fit(1);
  const [fault] = await faultsOfAsync(() => exportRun(trainer));
  expect(fault).toMatchObject({ code: "E_USAGE", hint: expect.stringContaining("directory") });
  const directory = join(folder, "models");
  const report = await exportRun(trainer, { directory });
  await trainer.close();
  expect(report.directory).toBe(directory);
  expect(await readdir(directory)).toContain("model.onnx");
});
