// What an export has fitted to the validation labels, as tables for people.
import type { ExportReport } from "../runtime/export/exportRun.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** A table of calibrations and one of thresholds, each with a line that says what its columns are. */
export function fitTexts({ calibration, unsure }: ExportReport, terminal: Terminal): string[] {
  return [
    ...(calibration.length > 0 ? calibrationTexts(calibration, terminal) : []),
    ...(unsure.length > 0 ? unsureTexts(unsure, terminal) : []),
  ];
}

function calibrationTexts(calibration: ExportReport["calibration"], terminal: Terminal): string[] {
  const head = ["task", "labels", "fitted", "ECE before", "after", "NLL before", "after"];
  const rows = calibration.map(({ task, rows: labelled, text, before, after }) => [
    ...[task, count(labelled), text],
    ...[decimal(before.ece, 4), decimal(after.ece, 4), decimal(before.nll, 4), decimal(after.nll, 4)],
  ]);
  return [
    renderTable(terminal, head, rows, [1, 3, 4, 5, 6]),
    "Fitted to the validation labels and measured on them. ECE: expected calibration error, 15 bins of equal width",
    "of the surest class (of tags: of each tag); NLL: mean negative log-likelihood.",
    "",
  ];
}

function unsureTexts(unsure: ExportReport["unsure"], terminal: Terminal): string[] {
  const head = ["task", "labels", "sure from", "answered", "wrong of those", "wrong of all", "promise"];
  const rows = unsure.map(({ task, rows: labelled, below, coverage, risk, riskOfAll, bound }) => [
    ...[task, count(labelled), decimal(below, 4), percent(coverage), percent(risk), percent(riskOfAll)],
    bound ? `under ${percent(bound.risk)}` : "none",
  ]);
  const isPromised = unsure.some(({ bound }) => bound);
  return [
    renderTable(terminal, head, rows, [1, 2, 3, 4, 5, 6]),
    ...(isPromised
      ? [
          "promise: of new images drawn like the validation images, fewer answers than that are wrong in the long run;",
          "it holds for 95 of 100 such sets of labels, if they were not used to choose the model.",
        ]
      : ["Shares are of the validation labels; that many answers are asked for, and no risk is promised."]),
    "",
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
