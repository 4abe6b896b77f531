// log.jsonl holds each finished epoch once and in order, wherever the process that wrote it was killed.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { appendLog, reconcileLog } from "../../runtime/logs/runLog.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import { CLI_MAIN, runCli } from "../cli/runCli.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";

const KILLS = 6;
let data: TinyData;
let folder: string;

beforeAll(async () => {
  data = await makeTinyData();
  folder = mkdtempSync(join(tmpdir(), "mttc-log-"));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await data[Symbol.asyncDispose]();
});

const report = (epoch: number, seconds = epoch / 4): EpochReport => ({
  ...{ epoch, steps: 2, seconds, waitShare: 0 },
  ...{ trainLoss: { kind: 1 / epoch }, trainAccuracy: { kind: 0.5 }, taskWeights: { kind: 1 } },
});

const logFile = (): string => join(folder, "log.jsonl");
const epochsIn = (file: string): number[] =>
  readFileSync(file, "utf8")
    .split(/(?<=\n)/)
    .map((line) => {
      expect(line.endsWith("\n")).toBe(true);
      return (JSON.parse(line) as EpochReport).epoch;
    });

async function writeLog(...epochs: number[]): Promise<string> {
  rmSync(logFile(), { force: true });
  for (const epoch of epochs) await appendLog(folder, report(epoch));
  return readFileSync(logFile(), "utf8");
}

test.each([
  ["killed after the checkpoint, before the line", (text: string) => text.slice(0, text.indexOf("\n") + 1)],
  ["killed within the line", (text: string) => text.slice(0, -20)],
  ["killed before the line's end", (text: string) => text.slice(0, -1)],
  ["joined by a version that wrote on", (text: string) => text.replace("\n", "")],
  ["repeated", (text: string) => text + text],
  ["of an epoch whose checkpoint was damaged", (text: string) => `${text}${JSON.stringify(report(3, 9))}\n`],
  ["of another run", () => `${JSON.stringify(report(1, 77))}\n`],
  [
    "out of order",
    (text: string) =>
      text
        .split(/(?<=\n)/)
        .reverse()
        .join(""),
  ],
  ["gone", () => ""],
])("a log that is %s is mended", async (_, damage) => {
  const whole = await writeLog(1, 2);
  writeFileSync(logFile(), damage(whole));
  expect(await reconcileLog(folder, [report(1), report(2)])).toBe(true);
  expect(readFileSync(logFile(), "utf8")).toBe(whole);
  expect(await reconcileLog(folder, [report(1), report(2)])).toBe(false);
});

test("a line of an earlier version, with its matrix, stays as it is", async () => {
  const old = `${JSON.stringify({ ...report(1), evaluation: { tasks: { kind: { confusion: [[1]] } } } })}\n`;
  writeFileSync(logFile(), old);
  expect(await reconcileLog(folder, [report(1)])).toBe(false);
  await reconcileLog(folder, [report(1), report(2)]);
  expect(readFileSync(logFile(), "utf8").startsWith(old)).toBe(true);
});

test("a run without checkpoints begins with an empty log", async () => {
  await writeLog(1, 2, 3);
  await reconcileLog(folder, []);
  expect(readFileSync(logFile(), "utf8")).toBe("");
});

test(`a run that is killed ${KILLS} times and gone on with has every epoch once, in log and history`, async () => {
  writeFileSync(join(data.folder, "killed.yml"), tinySpec({ logdir: "killed", epochs: "100000" }));
  for (let round = 0; round < KILLS; round++) {
    const args = [CLI_MAIN, "train", "killed.yml", ...(round > 0 ? ["--resume"] : [])];
    const child = spawn(process.execPath, args, { cwd: data.folder, stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (text) => {
      said += String(text);
    });
    while (!/epoch \d+\/100000:/.test(said)) {
      expect(child.exitCode, said).toBeNull();
      await sleep(5);
    }
    await sleep(Math.random() * 300);
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }
  const log = join(data.folder, "killed", "log.jsonl");
  const done = Math.max(0, ...readFileSync(log, "utf8").split("\n").flatMap(epochOf));
  const { code, stderr } = await runCli(data.folder, [
    ...["train", "killed.yml", "--resume"],
    ...["--epochs", String(done + 2)],
  ]);
  expect(stderr).toContain("resumed from");
  expect(code).toBe(0);
  expect(epochsIn(log)).toEqual(Array.from({ length: done + 2 }, (_, i) => i + 1));
});

function epochOf(line: string): number[] {
  const match = /^\{"epoch":(\d+)/.exec(line);
  return match ? [Number(match[1])] : [];
}
