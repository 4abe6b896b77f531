// Reading a run takes no lock and writes nothing: while another process trains it, on a disk that is full or
// read-only, with damaged checkpoints. What is skipped and what is used is said.
import { chmod, cp, mkdtemp, readdir, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { exportRun } from "../../runtime/export/exportRun.ts";
import { nodeFileSystem } from "../../runtime/files/fileSystem.ts";
import { acquireRunLock } from "../../runtime/files/runLock.ts";
import { TrainedRun } from "../../runtime/infer/trainedRun.ts";
import { readCheckpoint } from "../../runtime/runs/checkpointChoice.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { snapshot } from "./snapshot.ts";
import { train, trainedData, trainerOf } from "./trainedData.ts";

let data: TinyData;
let folder: string;

beforeEach(async () => {
  data = await trainedData();
  folder = join(data.folder, "run");
});

afterEach(async () => {
  await data[Symbol.asyncDispose]();
});

const newestState = () => join(folder, "checkpoints", "epoch-0002", "state.safetensors");

test("evaluation, predictions and exports leave every file as it was, whoever holds the lock", async () => {
  await using lock = await acquireRunLock(folder);
  expect(await readdir(folder)).toContain(lock.path.slice(folder.length + 1));
  const before = await snapshot(folder);
  const commands = [
    ["evaluate", "run", "--ep", "cpu"],
    ["evaluate", "run", "--ep", "cpu", "--json"],
    ["export", "run", "-o", "out"],
    ["inspect", "run", "--json"],
    ["inspect", "run", "--placement", "--ep", "cpu"],
  ];
  for (const args of commands) {
    const { code, stderr } = await runCli(data.folder, args);
    expect([args, code, stderr]).toEqual([args, 0, ""]);
    expect(await snapshot(folder)).toEqual(before);
  }
  await using trainer = await MultiTaskTrainer.fromRun(folder);
  await trainer.evaluate();
  await trainer.predict([join(data.folder, "images", "val-0.png")]);
  await trainer.parameters();
  await exportRun(trainer, { directory: join(data.folder, "other") });
  expect(await snapshot(folder)).toEqual(before);
});

test.skipIf(process.platform === "win32")(
  "a run that nobody may write is read by every command",
  async () => {
    const before = await snapshot(folder);
    const modes = Object.entries(before).map(([path, state]) => [path, Number(state.split(" ")[0])] as const);
    // Whoever owns them may still enter the folders.
    for (const [path, mode] of modes) await chmod(join(folder, path), mode & 0o100000 ? 0o444 : 0o555);
    await chmod(data.folder, 0o755);
    const open = await mkdtemp(join(tmpdir(), "mttc-open-"));
    await chmod(open, 0o777);
    // Root may write whatever the modes say.
    const user = process.getuid?.() === 0 ? 65_534 : undefined;
    try {
      const locked = await snapshot(folder);
      for (const args of [
        ["evaluate", folder, "--ep", "cpu"],
        ["export", folder, "-o", join(open, "exported")],
        ["inspect", folder],
      ]) {
        const { code, stderr } = await runCli(open, args, { user });
        expect([args[0], code, stderr]).toEqual([args[0], 0, ""]);
      }
      // The modes do hold: training on is refused.
      const refused = await runCli(data.folder, ["train", "spec.yml", "--resume", "--epochs", "3"], { user });
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/\[E_(FILE|DISK)\]/)]);
      expect(await snapshot(folder)).toEqual(locked);
    } finally {
      for (const [path, mode] of modes) await chmod(join(folder, path), mode & 0o7777);
      await rm(open, { recursive: true, force: true });
    }
  },
);

test("export into the run changes its export folder alone", async () => {
  const before = await snapshot(folder);
  expect((await runCli(data.folder, ["export", "run"])).code).toBe(0);
  const after = Object.entries(await snapshot(folder)).filter(
    ([path]) => path !== "" && !path.startsWith("export"),
  );
  expect(Object.fromEntries(after)).toEqual(
    Object.fromEntries(Object.entries(before).filter(([path]) => path !== "")),
  );
});

test("a run is evaluated again and again while it trains, prunes and replaces its bundle", async () => {
  let isTraining = true;
  const training = train(data.folder, 10, {}, { resume: true }).finally(() => {
    isTraining = false;
  });
  const epochs = new Set<number>();
  for (let round = 0; isTraining; round++) {
    // The best may stay the same; it may also be replaced under the reader's eyes.
    const checkpoint = round % 2 === 0 ? "newest" : undefined;
    await using run = await TrainedRun.open(folder, {}, { checkpoint });
    expect(run.warnings).toEqual([]);
    expect((await run.evaluate(await run.labels())).images).toBe(12);
    if (checkpoint) epochs.add(run.checkpoint.epoch);
  }
  await training;
  expect(Math.min(...epochs)).toBeGreaterThanOrEqual(2);
  expect(epochs.size).toBeGreaterThan(0);
});

test("a checkpoint that vanishes while it is read is looked for anew, and no damage", async () => {
  for (let epoch = 3; epoch <= 5; epoch++) await train(data.folder, epoch, {}, { resume: true });
  const checkpoints = join(folder, "checkpoints");
  let lists = 0;
  const fileSystem = {
    ...nodeFileSystem,
    readdir: async (path: string) => {
      lists++;
      const names = await nodeFileSystem.readdir(path);
      // The training run replaces all that was listed first, as slowly as we read.
      if (lists === 1) for (const name of names) await rm(join(path, name), { recursive: true });
      else if (lists === 2) {
        await cp(join(data.folder, "kept"), join(path, "epoch-0005"), { recursive: true });
        return ["epoch-0005"];
      }
      return names;
    },
  };
  await cp(join(checkpoints, "epoch-0005"), join(data.folder, "kept"), { recursive: true });
  expect(await readCheckpoint(folder, "newest", fileSystem)).toMatchObject({ epoch: 5, warnings: [] });
  expect(lists).toBe(2);
});

test("a damaged newest checkpoint is said by evaluate, export, a trainer and a resume; only that sets it aside", async () => {
  await truncate(newestState(), 100);
  const before = await snapshot(folder);
  const line = /epoch-0002: state\.safetensors has 100 bytes, .*skipped/;
  for (const args of [
    ["evaluate", "run", "--checkpoint", "newest"],
    ["export", "run", "-o", "out", "--checkpoint", "newest"],
  ]) {
    const { code, stderr, stdout } = await runCli(data.folder, args);
    expect([code, stderr]).toEqual([0, expect.stringMatching(line)]);
    if (args[0] === "evaluate") expect(stdout).toMatch(/the model of run\/checkpoints\/epoch-0001\n/);
  }
  await using trainer = await MultiTaskTrainer.fromRun(folder);
  expect(trainer.warnings.join("\n")).toMatch(line);
  expect(trainer.history.map(({ epoch }) => epoch)).toEqual([1]);
  expect(await snapshot(folder)).toEqual(before);
  const lines = await train(data.folder, 2, {}, { resume: true });
  expect(lines.join("\n")).toMatch(line);
  expect(await readdir(join(folder, "checkpoints"))).toContain("epoch-0002.corrupt");
});

test("without a usable checkpoint reading says so, and that the first epoch may not have ended", async () => {
  for (const epoch of [1, 2])
    await truncate(join(folder, "checkpoints", `epoch-000${epoch}`, "progress.json"), 5);
  const [fault] = await faultsOfAsync(() => TrainedRun.open(folder, {}, { checkpoint: "newest" }));
  expect(fault).toMatchObject({ code: "E_CKPT_NONE", hint: expect.stringContaining("first epoch") });
  expect(fault?.message).toMatch(/epoch-0002: progress\.json .*; .*epoch-0001: progress\.json/);
});

test("only the weights of a checkpoint are kept, not what the optimizer remembers", async () => {
  await using run = await TrainedRun.open(folder);
  const names = [...run.checkpoint.tensors.keys()];
  expect(names.length).toBeGreaterThan(8);
  expect(names.filter((name) => /\/[mv]$|step/.test(name))).toEqual([]);
  const [first] = run.checkpoint.tensors.values();
  expect(first?.data.buffer.byteLength).toBe(first?.data.byteLength);
});

test("a damaged or missing graph of the bundle is named, a damaged one of training does not matter", async () => {
  await truncate(join(folder, "bundle", "train.onnx"), 10);
  await using run = await TrainedRun.open(folder);
  await run.close();
  await truncate(join(folder, "bundle", "evaluate.onnx"), 10);
  expect(await faultsOfAsync(() => TrainedRun.open(folder))).toMatchObject([
    { code: "E_BUNDLE", at: { file: join(folder, "bundle", "evaluate.onnx") } },
  ]);
  await rm(join(folder, "bundle"), { recursive: true });
  expect(await faultsOfAsync(() => TrainedRun.open(folder))).toMatchObject([{ code: "E_FILE" }]);
});

test("a trainer that is constructed on a run's folder and not fitted leaves the folder alone", async () => {
  const before = await snapshot(folder);
  await using trainer = trainerOf(data.folder, { shared_layers: "[9]" });
  await trainer.evaluate();
  await trainer.parameters();
  expect(trainer.directory).toBe(folder);
  expect(await snapshot(folder)).toEqual(before);
  expect(await faultsOfAsync(() => trainer.fit(1))).toMatchObject([{ code: "E_RUN_EXISTS" }]);
  expect(await snapshot(folder)).toEqual(before);
});

test("a trainer that was evaluated before it is fitted trains into its folder like any other", async () => {
  await using fresh = await makeTinyData();
  await using trainer = trainerOf(fresh.folder);
  await trainer.evaluate();
  await trainer.fit(2);
  expect(trainer.directory).toBe(join(fresh.folder, "run"));
  const [here, there] = await Promise.all(
    [fresh.folder, data.folder].map((place) => loadNewestCheckpoint(join(place, "run"))),
  );
  for (const [name, tensor] of here?.tensors ?? [])
    expect(Buffer.compare(tensor.data, there?.tensors.get(name)?.data ?? Buffer.alloc(0))).toBe(0);
});

test("a run that is opened is gone on with by fit", async () => {
  await using trainer = await MultiTaskTrainer.fromRun(folder);
  const before = await trainer.evaluate();
  const history = await trainer.fit(3);
  expect(history.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  // Of epochs gone by the figures are kept, without their confusion matrices.
  expect(history[1]?.evaluation?.tasks).toBeDefined();
  expect(before).toMatchObject(history[1]?.evaluation ?? {});
  expect(await trainer.evaluate()).toEqual(history[2]?.evaluation);
  await trainer.close();
  await using again = await MultiTaskTrainer.fromRun(folder);
  expect(again.history.length).toBe(3);
});
