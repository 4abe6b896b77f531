// Evaluation reports as text: figures beside the majority baseline, and confusion matrices.
import { visibleText } from "../compiler/visibleText.ts";
import {
  confusionPairsOf,
  type EvaluationReport,
  type TaskReport,
} from "../runtime/infer/evaluationReport.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

type Style = Pick<Terminal, "isTerminal" | "colours">;

/** Up to this many classes the whole matrix is shown, beyond it the most frequent confusions. */
const MATRIX_CLASSES = 16;
const SHOWN_CONFUSIONS = 12;

/** One line per task; "majority" is what always answering the most frequent class would reach. */
export function evaluationTable(report: EvaluationReport, style: Style): string {
  const head = ["task", "labelled", "loss", "accuracy", "(majority)", "macro recall", "(majority)"];
  const rows = Object.entries(report.tasks).map(([task, figures]) => [
    task,
    count(figures.labelled),
    decimal(figures.loss),
    decimal(figures.accuracy),
    decimal(figures.majority),
    decimal(figures.macroRecall),
    decimal(figures.majorityRecall),
  ]);
  return renderTable(style, head, rows, [1, 2, 3, 4, 5, 6]);
}

/** Rows are true classes, columns predictions; for many classes a list of the most frequent confusions. */
export function confusionText(task: string, figures: TaskReport, style: Style): string {
  const title = style.colours.bold(`${visibleText(task)}: true class (rows) and prediction (columns)`);
  const body = figures.classes.length <= MATRIX_CLASSES ? matrix(figures, style) : worst(figures, style);
  return `${title}\n${body}`;
}

function matrix({ classes, confusion }: TaskReport, style: Style): string {
  const rows = classes.map((name, i) => [name, ...(confusion?.[i] ?? []).map(String)]);
  const right = classes.map((_, i) => i + 1);
  return renderTable(style, ["", ...classes], rows, right);
}

function worst(figures: TaskReport, style: Style): string {
  const { classes } = figures;
  const pairs = confusionPairsOf(figures) ?? [];
  const confused = pairs.filter(([actual, predicted]) => actual !== predicted);
  if (confused.length === 0) return "no image is confused";
  const rowsOf = new Map<number, number>();
  for (const [actual, , times] of pairs) rowsOf.set(actual, (rowsOf.get(actual) ?? 0) + times);
  const shown = confused.toSorted((a, b) => b[2] - a[2]).slice(0, SHOWN_CONFUSIONS);
  const rows = shown.map(([actual, predicted, times]) => [
    classes[actual] ?? "",
    classes[predicted] ?? "",
    `${times} of ${rowsOf.get(actual)}`,
  ]);
  return renderTable(style, ["true class", "predicted", "images"], rows, [2]);
}
