// What a run keeps of its epochs: bounded for many classes, readable from earlier versions.
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ClassEvaluation, type ClassReport } from "../../compiler/tasks/classEvaluation.ts";
import { confusionPairsOf } from "../../compiler/tasks/confusion.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EvaluationReport } from "../../runtime/infer/evaluationReport.ts";
import { appendLog } from "../../runtime/logs/runLog.ts";
import { loadNewestCheckpoint, saveCheckpoint } from "../../runtime/runs/checkpoints.ts";
import type { EpochReport } from "../../runtime/train/events.ts";
import {
  bestEpoch,
  dropOldDetails,
  logEntry,
  readHistory,
  storedHistory,
} from "../../runtime/train/runHistory.ts";
import { faultsOf } from "../spec/faultsOf.ts";

const MIB = 2 ** 20;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-history-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function taskOf(classes: readonly string[]): Task[] {
  return [openTask({ task: "kind", classes })];
}
const TWO = taskOf(["a", "b"]);

/** The report of `rows` rows, each of class `actual(row)` and taken for `predicted(row)`. */
function evaluationOf(
  classes: readonly string[],
  rows: number,
  actual: (row: number) => number,
  predicted: (row: number) => number,
): EvaluationReport {
  const evaluation = new ClassEvaluation(classes);
  const logits = new Float32Array(classes.length);
  for (let row = 0; row < rows; row++) {
    logits.fill(0)[predicted(row)] = 4;
    evaluation.add(logits, Int32Array.of(actual(row)));
  }
  return { images: rows, tasks: { kind: evaluation.report() } };
}

function epochOf(epoch: number, evaluation?: EvaluationReport): EpochReport {
  return {
    ...{ epoch, steps: 3, seconds: epoch + 0.25, waitShare: 0 },
    ...{ trainLoss: { kind: 1 / epoch }, trainAccuracy: { kind: Number.NaN }, taskWeights: { kind: 1 } },
    ...(evaluation ? { evaluation } : {}),
  };
}

test("5,000 classes and 200 epochs: progress.json, log.jsonl and the time of an epoch are bounded", async () => {
  const classes = Array.from({ length: 5_000 }, (_, i) => `class number ${i}`);
  const tasks = taskOf(classes);
  const history: EpochReport[] = [];
  const began = performance.now();
  for (let epoch = 1; epoch <= 200; epoch++) {
    // Every row is wrong in another way: the most pairs that 10,000 rows can have.
    const evaluation = evaluationOf(
      classes,
      epoch < 199 ? 50 : 10_000,
      (row) => row % 5_000,
      (row) => (row * 7 + epoch + Math.floor(row / 5_000)) % 5_000,
    );
    history.push(epochOf(epoch, evaluation));
    dropOldDetails(history, tasks);
    await appendLog(folder, logEntry(history.at(-1) as EpochReport, tasks));
    if (epoch % 50 === 0)
      await saveCheckpoint(folder, {
        epoch,
        tensors: [],
        progress: { history: storedHistory(history, tasks) },
      });
  }
  const secondsPerEpoch = (performance.now() - began) / 1000 / 200;
  // 10,000 rows of 5,000 logits to look at twice, and none of the time is the matrix's.
  expect(secondsPerEpoch).toBeLessThan(0.5);
  const progress = join(folder, "checkpoints", "epoch-0200", "progress.json");
  expect(statSync(progress).size).toBeLessThan(MIB);
  expect(statSync(join(folder, "log.jsonl")).size).toBeLessThan(MIB / 8);
  const { progress: stored } = await loadNewestCheckpoint(folder);
  const read = readHistory(stored.history, tasks, "progress.json");
  expect(read).toEqual(history);
  const newest = read.at(-1)?.evaluation?.tasks.kind as ClassReport;
  expect(newest.confusion).toBeUndefined();
  expect(newest.confusionPairs?.length).toBe(10_000);
  // What evaluate --json prints.
  expect(JSON.stringify(read.at(-1)?.evaluation, null, 2).length).toBeLessThan(4 * MIB);
});

test("figures of pairs are those of the whole matrix", () => {
  const names = ["a", "b", "c"];
  const { tasks } = evaluationOf(
    names,
    10,
    (row) => (row < 6 ? 0 : 2),
    (row) => [0, 0, 0, 1, 2, 0, 2, 2, 2, 1][row] ?? 0,
  );
  expect(tasks.kind).toMatchObject({
    confusion: [
      [4, 1, 1],
      [0, 0, 0],
      [0, 1, 3],
    ],
    ...{ labelled: 10, accuracy: 0.7, majority: 0.6, majorityRecall: 0.5, classes: names },
  });
  expect(tasks.kind?.macroRecall).toBe((4 / 6 + 3 / 4) / 2);
  expect(confusionPairsOf(tasks.kind as ClassReport)).toEqual([
    [0, 0, 4],
    [0, 1, 1],
    [0, 2, 1],
    [2, 1, 1],
    [2, 2, 3],
  ]);
});

test("matrices of the newest and of the best epoch stay, the best being the first of equal ones", () => {
  const good = (hits: number): EvaluationReport =>
    evaluationOf(
      ["a", "b"],
      10,
      (row) => row % 2,
      (row) => (row < hits ? row % 2 : 1 - (row % 2)),
    );
  const history: EpochReport[] = [];
  for (const [index, hits] of [2, 9, 9, 4, 5].entries()) {
    history.push(epochOf(index + 1, good(hits)));
    dropOldDetails(history, TWO);
  }
  expect(bestEpoch(history, TWO)).toBe(1);
  const kept = history.map(({ evaluation }) => evaluation?.tasks.kind?.confusion !== undefined);
  expect(kept).toEqual([false, true, false, false, true]);
  expect(history[0]?.evaluation?.tasks.kind).toMatchObject({ accuracy: 0.2, classes: ["a", "b"] });
  const again = readHistory(JSON.parse(JSON.stringify(storedHistory(history, TWO))), TWO, "progress.json");
  expect(again).toEqual(history);
});

test("an epoch without validation, and one whose task has no labelled row, are kept as they are", () => {
  const history = [
    epochOf(1),
    epochOf(2, { images: 0, tasks: { kind: new ClassEvaluation(["a"]).report() } }),
  ];
  const tasks = taskOf(["a"]);
  expect(bestEpoch(history, tasks)).toBeUndefined();
  const stored: unknown = JSON.parse(JSON.stringify(storedHistory(history, tasks)));
  expect(readHistory(stored, tasks, "progress.json")).toEqual(history);
});

test("progress.json of a version that kept every matrix is read; only two are kept of it", () => {
  const file = join(import.meta.dirname, "fixtures", "progress-0.1.json");
  const { history } = JSON.parse(readFileSync(file, "utf8")) as { history: unknown };
  const read = readHistory(history, TWO, file);
  expect(read.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
  expect(read.map(({ evaluation }) => evaluation?.tasks.kind?.confusion)).toEqual([
    undefined,
    [
      [3, 1],
      [0, 4],
    ],
    [
      [2, 2],
      [1, 3],
    ],
  ]);
  expect(read[0]?.trainAccuracy.kind).toBeNaN();
});

test("an edited progress.json is refused with the place", () => {
  const history: unknown = [{ ...epochOf(1), seconds: "long" }];
  const [fault] = faultsOf(() => readHistory(history, [], "run/checkpoints/epoch-0001"));
  expect(fault?.code).toBe("E_CKPT_CORRUPT");
  expect(fault?.message).toContain("history.0.seconds");
});
