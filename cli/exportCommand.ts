// `mttc export RUN`: deployable ONNX files of a run's newest checkpoint, compared with the trainer before
// they stand.
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { visibleText } from "../compiler/visibleText.ts";
import { EXPORT_FOLDER } from "../runtime/export/exportedModel.ts";
import { type ExportReport, exportRun, refuseForeignExport } from "../runtime/export/exportRun.ts";
import { PARITY_TOLERANCE } from "../runtime/export/parity.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions, withRuntimeOptions } from "./runtimeOptions.ts";
import { runFolderOf } from "./specFile.ts";
import { bytes, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

interface Flags extends RuntimeFlags {
  readonly output?: string;
  readonly split?: boolean;
  readonly json?: boolean;
}

export function addExportCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("export")
    .description("write the model as ONNX files: uint8 images in, probabilities out, for any batch size")
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("-o, --output <dir>", "folder to write (default: <run>/export); an earlier export is replaced")
    .option("--split", "also write trunk, shared layers and heads as files that compose")
    .option("--json", "print the result as JSON");
  withRuntimeOptions(command).action((run: string, flags: Flags) => exportFromRun(run, flags, terminal));
}

async function exportFromRun(run: string, flags: Flags, terminal: Terminal): Promise<void> {
  const folder = await runFolderOf(run);
  await refuseForeignExport(resolve(flags.output ?? join(folder, EXPORT_FOLDER)));
  const runtime = runtimeOptions(flags);
  await using trained = await TrainedRun.open(folder, runtime);
  for (const warning of trained.warnings) terminal.note(visibleText(warning));
  const report = await exportRun(trained, { ...runtime, directory: flags.output, split: flags.split });
  for (const note of report.notes) terminal.note(visibleText(note));
  terminal.out(flags.json ? JSON.stringify(report, null, 2) : exportText(report, terminal));
}

function exportText({ directory, files, checks, images }: ExportReport, terminal: Terminal): string {
  const rows = files.map(({ file, kind, tasks, bytes: size }) => {
    const largest = Math.max(
      ...checks.filter((check) => check.file === file).map((check) => check.largestDifference),
    );
    return [file, kind, tasks.join(", "), bytes(size), largest.toExponential(1)];
  });
  const head = ["file", "kind", "tasks", "size", "largest difference"];
  const largest = Math.max(...checks.map((check) => check.largestDifference));
  return [
    renderTable(terminal, head, rows, [3, 4]),
    `Compared with the trainer on ${images} images: largest difference ${largest.toExponential(2)}, ` +
      `${PARITY_TOLERANCE} is allowed.`,
    `Written to ${shownPath(directory)}`,
    `Next: mttc predict ${shownPath(join(directory, "model.onnx"))} IMAGES...`,
  ].join("\n");
}
