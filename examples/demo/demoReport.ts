// What the demo prints: epoch lines, the table of results with its goals, exported files, predictions.
// Reports in, text out; pure.
import { basename } from "node:path";
import Table from "cli-table3";
import { figureOf, type TaskReport } from "../../compiler/tasks/report.ts";
import type { ExportReport } from "../../runtime/export/exportRun.ts";
import type { EvaluationReport } from "../../runtime/infer/evaluationReport.ts";
import type { EpochReport } from "../../runtime/train/events.ts";

/** An image and, per task, what the model says and what the label is (undefined: missing). */
export interface AnsweredImage {
  readonly path: string;
  readonly answers: readonly {
    readonly task: string;
    readonly predicted: string;
    readonly label: string | undefined;
  }[];
}

/**
 * The accuracy on held-out images that each task has to reach. The same network in PyTorch reached 0.65, 0.54
 * and 0.92; always guessing the most frequent class reaches 0.52, 0.15 and 0.20.
 */
const GOALS: Readonly<Record<string, (report: TaskReport) => number>> = {
  group: (report) => figureOf(report, "majority") + 0.08,
  subgroup: () => 0.4,
  skin_tone: () => 0.7,
};

const COLUMN = 12;

/** The line above the epoch lines. */
export function epochHeader(tasks: readonly string[]): string {
  const names = tasks.map((task) => task.padStart(COLUMN)).join("");
  return `     epoch   seconds${names}    task weights`;
}

/** One epoch: seconds, accuracy per task, learned task weights. */
export function epochLine({ epoch, seconds, taskWeights, evaluation }: EpochReport): string {
  const accuracies = Object.values(evaluation?.tasks ?? {}).map((report) =>
    share(figureOf(report, "accuracy")).padStart(COLUMN),
  );
  const weights = Object.values(taskWeights).map((weight) => weight.toFixed(2));
  const begin = `     ${String(epoch).padStart(5)}${seconds.toFixed(1).padStart(10)}`;
  return `${begin}${accuracies.join("")}    ${weights.join(" ")}`;
}

const FIGURES = ["accuracy", "majority", "macroRecall", "majorityRecall"] as const;

/** Accuracy and macro recall per task beside always guessing the most frequent class, and the goals. */
export function resultTable({ tasks }: EvaluationReport): string {
  const head = ["task", "labelled", "accuracy", "majority", "goal", "macro recall", "majority"];
  const table = plainTable(head);
  for (const [task, report] of Object.entries(tasks)) {
    const goal = GOALS[task]?.(report) ?? Number.NaN;
    const [accuracy, majority, ...recalls] = FIGURES.map((name) => share(figureOf(report, name)));
    table.push([task, String(report.labelled), accuracy, majority, share(goal), ...recalls]);
  }
  return `${table.toString()}\nmajority: what always answering the most frequent class would reach`;
}

/** A sentence for each task that is below its goal (or has no figure at all). */
export function goalsMissed({ tasks }: EvaluationReport): string[] {
  return Object.entries(GOALS).flatMap(([task, goal]) => {
    const report = tasks[task];
    if (report && figureOf(report, "accuracy") >= goal(report)) return [];
    const found = report
      ? `${share(figureOf(report, "accuracy"))}, at least ${share(goal(report))} was expected`
      : "missing";
    return [`accuracy of ${task}: ${found}`];
  });
}

/** A line per exported file: size and its largest difference from the trainer. */
export function exportLines({ files, checks, images }: ExportReport): string[] {
  const lines = files.map(({ file, bytes }) => {
    const found = checks.filter((check) => check.file === file);
    const largest = Math.max(...found.map(({ largestDifference }) => largestDifference));
    const difference = `largest difference ${largest.toExponential(1)}`;
    return `     ${file.padEnd(16)}${(bytes / 1024).toFixed(0).padStart(6)} KiB   ${difference}`;
  });
  return [...lines, `     compared on ${images} images`];
}

/** Image, then per task the prediction, and the label in brackets where it differs. */
export function predictionTable(images: readonly AnsweredImage[]): string {
  const table = plainTable(["image", ...(images[0]?.answers.map(({ task }) => task) ?? [])]);
  for (const { path, answers } of images) table.push([basename(path), ...answers.map(answerText)]);
  return table.toString();
}

/** "cat", or "cat (label: dog)", or "cat (no label)". */
export function answerText({ predicted, label }: AnsweredImage["answers"][number]): string {
  if (label === undefined) return `${predicted} (no label)`;
  return label === predicted ? predicted : `${predicted} (label: ${label})`;
}

function share(value: number): string {
  return Number.isNaN(value) ? "-" : value.toFixed(3);
}

function plainTable(head: readonly string[]): InstanceType<typeof Table> {
  return new Table({ head: [...head], style: { head: [], border: [], compact: true } });
}
