// `mttc evaluate RUN`: the run's newest checkpoint on its validation labels (else its training labels).
import type { Command } from "commander";
import { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import { confusionText, evaluationTable } from "./evaluationTables.ts";
import {
  type RuntimeFlags,
  runtimeOptions,
  withProviderOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

interface Flags extends RuntimeFlags {
  readonly json?: boolean;
}

export function addEvaluateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("evaluate")
    .description("accuracy, macro recall and confusion matrix of a run, on its validation labels")
    .argument("<run>", "folder of the run (its logdir)")
    .option("--json", "print the report as JSON");
  withProviderOption(withRuntimeOptions(command)).action((run: string, flags: Flags) =>
    evaluateRun(run, flags, terminal),
  );
}

async function evaluateRun(run: string, flags: Flags, terminal: Terminal): Promise<void> {
  await using trainer = await MultiTaskTrainer.fromRun(run, runtimeOptions(flags));
  if (trainer.providerNote !== undefined) terminal.note(trainer.providerNote);
  const labels = trainer.spec.val_labels === null ? "training" : "validation";
  const report = await trainer.evaluate();
  if (flags.json) {
    terminal.out(JSON.stringify({ run, labels, ...report }, null, 2));
    return;
  }
  terminal.out(`${report.images} images of the ${labels} labels`);
  terminal.out(evaluationTable(report, terminal));
  for (const [task, figures] of Object.entries(report.tasks))
    if (figures.labelled > 0) terminal.out(`\n${confusionText(task, figures, terminal)}`);
}
