// The figures of an epoch as a terminal of 80 columns shows them, and how time is told.
import pc from "picocolors";
import { expect, test } from "vitest";
import { durationText, epochTable } from "../../cli/trainProgress.ts";
import { openTask } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import type { EpochReport } from "../../runtime/train/events.ts";

const TASKS = ["season", "a task with a name of sixty letters and more"];
const tasksOf = (names: readonly string[]): Task[] =>
  names.map((task) => openTask({ task, classes: ["a", "b"] }));
const style = { isTerminal: true, colours: pc.createColors(false) };

/** Accuracy and its like are 1 at most; a loss of two digits is a bad one. */
function report(tasks: readonly string[], weight: number): EpochReport {
  const each = (value: number) => Object.fromEntries(tasks.map((task) => [task, value]));
  const figures = {
    ...{ loss: 12.3456, accuracy: 0.9123, majority: 0.5, macroRecall: 0.8, majorityRecall: 0.25 },
    ...{ labelled: 9, classes: ["a", "b"] },
  };
  const evaluation = { images: 9, tasks: Object.fromEntries(tasks.map((task) => [task, figures])) };
  return {
    ...{ epoch: 1, steps: 3, seconds: 1, waitShare: 0, trainLoss: each(10.5), trainAccuracy: each(0.75) },
    ...{ taskWeights: each(weight), evaluation: evaluation as unknown as EpochReport["evaluation"] & object },
  };
}

test.each([1, 198.4])("fits 80 columns with weights of %d and long names", (weight) => {
  const lines = epochTable(report(TASKS, weight), tasksOf(TASKS), style);
  for (const line of lines.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines).toContain("season");
  expect(lines).toContain("a task ");
  expect(lines).toContain("12.346");
  expect(lines.includes("weight")).toBe(weight !== 1);
});

test("without validation only what was trained is shown", () => {
  const { evaluation: _, ...trained } = report(["season"], 1);
  expect(epochTable(trained, tasksOf(["season"]), style).split("\n")).toEqual([
    "task      loss    acc",
    "season  10.500  0.750",
  ]);
});

test.each([
  [0.4, "0 s"],
  [59, "59 s"],
  [170, "3 min"],
  [9000, "2.5 h"],
])("%d seconds are %s", (seconds, text) => expect(durationText(seconds)).toBe(text));
