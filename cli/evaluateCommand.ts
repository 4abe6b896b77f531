// `mttc evaluate RUN`: the run's newest checkpoint on its validation labels (else its training labels).

import type { Command } from "commander";
import { visibleText } from "../compiler/visibleText.ts";
import { TrainedRun } from "../runtime/infer/trainedRun.ts";
import { confusionText, evaluationTable } from "./evaluationTables.ts";
import { shownPath } from "./pathText.ts";
import {
  type RuntimeFlags,
  runtimeOptions,
  withProviderOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import { runFolderOf } from "./specFile.ts";
import type { Terminal } from "./terminal.ts";

interface Flags extends RuntimeFlags {
  readonly json?: boolean;
}

export function addEvaluateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("evaluate")
    .description("accuracy, macro recall and confusion matrix of a run, on its validation labels")
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("--json", "print the report as JSON");
  withProviderOption(withRuntimeOptions(command)).action((run: string, flags: Flags) =>
    evaluateRun(run, flags, terminal),
  );
}

async function evaluateRun(folder: string, flags: Flags, terminal: Terminal): Promise<void> {
  await using run = await TrainedRun.open(await runFolderOf(folder), runtimeOptions(flags));
  const rows = await run.labels();
  for (const warning of [...run.warnings, ...rows.warnings]) terminal.note(visibleText(warning));
  const report = await run.evaluate(rows);
  const { path, epoch } = run.checkpoint;
  const labels = rows.split === "val" ? "validation" : "training";
  const table = rows.table ?? null;
  if (flags.json) {
    const used = { run: folder, labels, table, checkpoint: path, epoch };
    terminal.out(JSON.stringify({ ...used, ...report }, null, 2));
    return;
  }
  const source = table === null ? "" : `, ${shownPath(table)}`;
  terminal.out(`${report.images} images of the ${labels} labels${source}`);
  terminal.out(`the model of ${shownPath(path)}`);
  terminal.out(evaluationTable(report, terminal));
  for (const [task, figures] of Object.entries(report.tasks))
    if (figures.labelled > 0) terminal.out(`\n${confusionText(task, figures, terminal)}`);
}
