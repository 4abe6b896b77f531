// What `mttc cross-validate` does: folds with their progress, and one table of all figures.
import { visibleText } from "../compiler/visibleText.ts";
import { type CrossValidationReport, crossValidate } from "../runtime/series/crossValidation.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { count, decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";
import { showProgress } from "./trainProgress.ts";

/** Options of the command. */
export interface CrossValidateFlags extends RuntimeFlags {
  readonly folds?: number;
  readonly by?: string;
  readonly epochs?: number;
  readonly json?: boolean;
}

/** Trains and evaluates the folds of an experiment. */
export async function crossValidateSpec(
  experiment: Experiment,
  flags: CrossValidateFlags,
  terminal: Terminal,
): Promise<void> {
  const { folds, by, epochs, json } = flags;
  const { signal, stop } = interruptSignal(
    terminal,
    "stopping: what is under way is saved; the same command goes on",
  );
  try {
    const report = await crossValidate(experiment, {
      ...{ folds, by, epochs, signal, runtime: runtimeOptions(flags) },
      log: (message) => terminal.note(visibleText(message)),
      onTrainer: (trainer, run) => {
        terminal.note(terminal.noteColours.bold(run.name));
        return showProgress(trainer, run.experiment.spec.epochs, terminal);
      },
    });
    terminal.out(json ? JSON.stringify(report, null, 2) : reportText(report, terminal));
  } finally {
    stop();
  }
}

/** A line for each figure of each task. */
function reportText({ directory, folds, tasks }: CrossValidationReport, terminal: Terminal): string {
  const names = folds.map((_, i) => String(i + 1));
  const rows = Object.entries(tasks).flatMap(([task, { labelled, figures }]) => [
    [task, "labelled", "", "", ...labelled.map(count)],
    ...figures.map(({ head, mean, deviation, values }) => [
      ...["", head, decimal(mean), decimal(deviation)],
      ...values.map((value) => decimal(value)),
    ]),
  ]);
  const head = ["task", "figure", "mean", "deviation", ...names.map((name) => `fold ${name}`)];
  return [
    `${folds.length} folds: mean over the folds, and their standard deviation (over n - 1)`,
    renderTable(
      terminal,
      head,
      rows,
      head.slice(2).map((_, i) => i + 2),
    ),
    `Runs:  ${shownPath(directory)}/fold-1 to fold-${folds.length}`,
    `Table: ${shownPath(directory)}/cross-validation.json`,
  ].join("\n");
}
