// `--resume --lr`: a run goes on with another rate, which is told, recorded and kept by what comes after; what
// a resume refuses says how to go on.
import { cp, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseSpec } from "../../compiler/spec/parseSpec.ts";
import { loadNewestCheckpoint } from "../../runtime/runs/checkpoints.ts";
import { MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { runCli } from "../cli/runCli.ts";
import type { TinyData } from "../cli/tinyData.ts";
import { faultsOfAsync } from "../spec/faultsOf.ts";
import { OLDER_RUNS, olderRuns, train, trainedData, trainerOf, trainerOfText } from "./trainedData.ts";

let data: TinyData;

beforeAll(async () => {
  data = await trainedData();
});
afterAll(() => data[Symbol.asyncDispose]());

/** A copy of the run of two epochs. */
async function copyRun(logdir: string): Promise<string> {
  await cp(join(data.folder, "run"), join(data.folder, logdir), { recursive: true });
  return logdir;
}

const weightsOf = async (logdir: string) => {
  const { tensors } = await loadNewestCheckpoint(join(data.folder, logdir));
  return new Map([...tensors].map(([name, tensor]) => [name, Buffer.from(tensor.data).toString("base64")]));
};

const read = (logdir: string, file: string) => readFile(join(data.folder, logdir, file), "utf8");

test("goes on with the rate from there, says so, and keeps it in every resume that follows", async () => {
  const logdir = await copyRun("lower");
  const lines = await train(data.folder, 3, { logdir }, { resume: true, lr: 0.0001 });
  const told = "lr: 0.001 until the end of epoch 2, 0.0001 from epoch 3 on";
  expect(lines).toContain(`${told} (--lr)`);
  const text = await read(logdir, "spec.yml");
  expect(text).toContain(`\n# ${told}\n`);
  expect(parseSpec(text, "spec.yml").lr).toBe(0.0001);
  expect(JSON.parse(await read(logdir, "run.json")).changes).toEqual([
    { key: "lr", epoch: 2, step: 0, from: 0.001, to: 0.0001 },
  ]);
  // The spec, which says nothing of the rate, and one with the rate of before.
  const plain = await train(data.folder, 4, { logdir }, { resume: true });
  expect(plain.join("\n")).toContain(
    "the run keeps its own values of keys that the spec does not write: lr 0.0001",
  );
  const written = await train(data.folder, 5, { logdir, lr: "0.001" }, { resume: true });
  expect(written.join("\n")).toContain("lr stays 0.0001, as --lr set it, in place of the spec's 0.001");
  expect((await train(data.folder, 6, { logdir, lr: "0.0001" }, { resume: true })).join("\n")).not.toContain(
    "lr ",
  );
  const [, fault] = await faultsOfAsync(() => train(data.folder, 7, { logdir, lr: "0.5" }, { resume: true }));
  expect(fault).toMatchObject({ at: { path: "lr" }, message: "was 0.0001, is 0.5" });
  expect(fault?.hint).toContain("--resume --lr N");
  expect(fault?.hint).toContain("`init_from: lower`");
});

test("trains what a run trains whose rate is another from there on, to the bit, in one sitting or in two", async () => {
  const [whole, halves] = [await copyRun("whole"), await copyRun("halves")];
  await train(data.folder, 4, { logdir: whole }, { resume: true, lr: 0.02 });
  await train(data.folder, 3, { logdir: halves }, { resume: true, lr: 0.02 });
  await train(data.folder, 4, { logdir: halves }, { resume: true });
  expect(await weightsOf(halves)).toEqual(await weightsOf(whole));
  const same = await copyRun("same");
  await train(data.folder, 4, { logdir: same }, { resume: true });
  expect(await weightsOf(same)).not.toEqual(await weightsOf(whole));
  const own = await copyRun("own");
  const lines = await train(data.folder, 4, { logdir: own }, { resume: true, lr: 0.001 });
  expect(lines).toContain("lr is 0.001 already: --lr changes nothing");
  expect(await weightsOf(own)).toEqual(await weightsOf(same));
});

test("in the middle of an epoch begins there, is not lost before the next save, and may be changed again", async () => {
  const logdir = await copyRun("middle");
  const abort = new AbortController();
  await using trainer = trainerOf(data.folder, { logdir });
  trainer.on("step", ({ epoch, step }) => epoch === 3 && step === 2 && abort.abort());
  await faultsOfAsync(() => trainer.fit(3, { resume: true, signal: abort.signal }));
  await trainer.close();
  // The process dies before it has saved anything with the new rate.
  await using killed = trainerOf(data.folder, { logdir });
  killed.on("log", () => undefined);
  const stop = new AbortController();
  killed.on("step", () => stop.abort());
  await faultsOfAsync(() => killed.fit(3, { resume: true, lr: 0.0001, signal: stop.signal }));
  await killed.close();
  await rm(join(data.folder, logdir, "checkpoints", "epoch-0002.2"), { recursive: true });
  const lines = await train(data.folder, 3, { logdir, lr: "0.001" }, { resume: true });
  expect(lines.join("\n")).toContain("lr stays 0.0001");
  await train(data.folder, 4, { logdir }, { resume: true, lr: 0.5 });
  const text = await read(logdir, "spec.yml");
  expect(text).toContain("# lr: 0.001 until step 2 of epoch 3, 0.0001 from there on\n");
  expect(text).toContain("# lr: 0.0001 until the end of epoch 3, 0.5 from epoch 4 on\n");
  const { progress } = await loadNewestCheckpoint(join(data.folder, logdir));
  expect((progress.fingerprint as { spec: { lr: number } }).spec.lr).toBe(0.5);
});

test("at the command line, and E_DIVERGED says it with a number", async () => {
  const logdir = await copyRun("diverged");
  const wild = await runCli(data.folder, ["train", "spec.yml", "--resume", "--lr", "1e6", "--epochs", "9"]);
  expect([wild.code, wild.stderr]).toEqual([2, expect.stringMatching(/\[E_DIVERGED\]/)]);
  expect(wild.stderr).toMatch(/epoch-0002, is from before and finite: --resume --lr N goes on/);
  const back = await runCli(data.folder, ["train", "spec.yml", "--resume", "--lr", "1e-4", "--epochs", "3"]);
  expect([back.code, back.stderr]).toEqual([0, expect.stringContaining("0.0001 from epoch 3 on (--lr)")]);
  for (const args of [
    ["--lr", "0.1"],
    ["--resume", "--lr", "fast"],
    ["--resume", "--lr", "-1"],
  ]) {
    const refused = await runCli(data.folder, ["train", "spec.yml", ...args]);
    expect([args, refused.code]).toEqual([args, 2]);
  }
  await rm(join(data.folder, logdir), { recursive: true });
});

test("is for a run that is gone on with, and a number", async () => {
  await using trainer = trainerOf(data.folder, { logdir: "none" });
  expect(await faultsOfAsync(() => trainer.fit(1, { lr: 0.1 }))).toMatchObject([{ code: "E_USAGE" }]);
  const wrong = { resume: true, lr: "0.1" as unknown as number };
  expect(await faultsOfAsync(() => trainer.fit(1, wrong))).toMatchObject([{ code: "E_USAGE" }]);
  await using opened = await MultiTaskTrainer.fromRun(join(data.folder, await copyRun("opened")), {
    threads: 1,
  });
  await opened.fit(3, { lr: 0.01 });
  expect(opened.spec.lr).toBe(0.01);
  expect(await faultsOfAsync(() => opened.fit(4, { lr: 0.1 }))).toMatchObject([{ code: "E_USAGE" }]);
});

test.each(OLDER_RUNS)("%s, of an earlier version, goes on with another rate", async (name, file) => {
  await using older = await olderRuns();
  const text = await readFile(join(older.folder, file), "utf8");
  await using trainer = trainerOfText(older.folder, text);
  await trainer.fit(3, { resume: true, lr: 0.25 });
  await trainer.close();
  await using again = trainerOfText(older.folder, text);
  await again.fit(4, { resume: true });
  expect(again.spec.lr).toBe(0.25);
  const { progress } = await loadNewestCheckpoint(join(older.folder, "out", name));
  expect((progress.fingerprint as { spec: { lr: number } }).spec.lr).toBe(0.25);
});
