// What `mttc export` does: a run -> ONNX files, compared with the trainer.
import { join, resolve } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { visibleText } from "../compiler/visibleText.ts";
import { EXPORT_FOLDER } from "../runtime/export/exportedModel.ts";
import { type ExportReport, exportRun, refuseForeignExport } from "../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../runtime/export/parity.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { type CheckpointChoice, choiceText } from "../runtime/runs/checkpointChoice.ts";
import { readOptions } from "./checkpointFlag.ts";
import { fitTexts } from "./fitTables.ts";
import { shownPath } from "./pathText.ts";
import { type CheckpointFlags, type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { bytes, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

/** Options of the command. */
export interface ExportFlags extends RuntimeFlags, CheckpointFlags {
  readonly output?: string;
  readonly split?: boolean;
  readonly calibrate?: boolean;
  readonly unsureRisk?: number;
  readonly unsureCoverage?: number;
  readonly heatmap?: boolean;
  readonly layer?: string;
  readonly anySize?: boolean;
  readonly readerVectors?: boolean;
  readonly json?: boolean;
}

/** Exports the run in `folder`. */
export async function exportFromRun(folder: string, flags: ExportFlags, terminal: Terminal): Promise<void> {
  const fits = fitsOf(flags);
  await refuseForeignExport(resolve(flags.output ?? join(folder, EXPORT_FOLDER)));
  const runtime = runtimeOptions(flags);
  await using trained = await TrainedRun.open(folder, runtime, readOptions(flags));
  for (const warning of trained.warnings) terminal.note(visibleText(warning));
  const { output: directory, split, anySize, readerVectors } = flags;
  const files = { directory, split, anySize, readerVectors };
  const report = await exportRun(trained, { ...runtime, ...files, ...fits });
  for (const note of report.notes) terminal.note(visibleText(note));
  const { epoch, choice } = trained.checkpoint;
  const all = { ...report, epoch, best: choice.isBest };
  terminal.out(flags.json ? JSON.stringify(all, null, 2) : exportText(report, choice, terminal));
}

/** What is to be fitted and drawn. E_USAGE for flags that exclude, or need, each other. */
function fitsOf({ calibrate, unsureRisk: risk, unsureCoverage: coverage, heatmap, layer }: ExportFlags) {
  const refuse = (message: string): never => {
    throw new MttcError({ code: "E_USAGE", message });
  };
  if (risk !== undefined && coverage !== undefined)
    refuse("--unsure-risk and --unsure-coverage exclude each other: each sets the same threshold");
  if (layer !== undefined && !heatmap) refuse("--layer is of --heatmap, which is not given");
  const wish = risk === undefined ? coverage !== undefined && { coverage } : { risk };
  return { calibrate, ...(wish && { unsure: wish }), ...(heatmap && { heatmaps: { layer } }) };
}

function exportText(report: ExportReport, choice: CheckpointChoice, terminal: Terminal): string {
  const { directory, files, checks, images } = report;
  const rows = files.map(({ file, kind, tasks, bytes: size }) => {
    const largest = Math.max(
      ...checks.filter((check) => check.file === file).map((check) => check.largestDifference),
    );
    return [file, kind, tasks.join(", "), bytes(size), largest.toExponential(1)];
  });
  const head = ["file", "kind", "tasks", "size", "largest difference"];
  const largest = Math.max(...checks.map((check) => check.largestDifference));
  return [
    ...fitTexts(report, terminal),
    renderTable(terminal, head, rows, [3, 4]),
    `The weights are of ${choiceText(choice)}.`,
    `Compared with the trainer on ${images} images: largest difference ${largest.toExponential(2)}, ` +
      `${PARITY_TOLERANCE} is allowed.`,
    `Written to ${shownPath(directory)}`,
    `Next: mttc predict ${shownPath(join(directory, "model.onnx"))} IMAGES...`,
  ].join("\n");
}
