// What `mttc train` does: a run with its progress, and what came of it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MttcError } from "../compiler/diagnostics.ts";
import { withTargets } from "../compiler/spec/logKeys.ts";
import type { SinkName } from "../compiler/spec/sinkNames.ts";
import type { Task } from "../compiler/tasks/task.ts";
import { RUN_SHEET } from "../runtime/augment/runSheet.ts";
import type { EpochReport } from "../runtime/train/events.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";
import { epochTable, showProgress } from "./trainProgress.ts";

/** Options of the command. */
export interface TrainFlags extends RuntimeFlags {
  readonly resume?: boolean;
  readonly acceptNewLabels?: boolean;
  readonly epochs?: number;
  readonly autotune?: boolean;
  readonly cudaGraph?: boolean;
  readonly findLr?: boolean;
  readonly logTo?: readonly SinkName[];
  readonly json?: boolean;
}

/** Trains the experiment that `file` names. */
export async function trainExperiment(
  file: string,
  experiment: Experiment,
  flags: TrainFlags,
  terminal: Terminal,
): Promise<void> {
  const { spec } = experiment;
  if (spec.logdir === null)
    throw new MttcError({
      code: "E_CONFIG",
      message: "missing; the run needs a folder to be written to",
      at: { file, path: "logdir" },
      hint: "add a line such as `logdir: runs/first`",
    });
  const epochs = flags.epochs ?? spec.epochs;
  const { signal, stop } = interruptSignal(terminal, "stopping: what is under way is finished and saved");
  const log_to = withTargets(spec.log_to, flags.logTo ?? []);
  await using trainer = new MultiTaskTrainer(
    { ...experiment, spec: { ...spec, log_to } },
    {
      ...runtimeOptions(flags),
      ...(flags.autotune === undefined ? {} : { autotune: flags.autotune }),
      ...(flags.cudaGraph ? { cudaGraph: true } : {}),
    },
  );
  if (flags.json) trainer.on("epoch", (report) => terminal.out(JSON.stringify(report)));
  const endProgress = showProgress(trainer, epochs, terminal);
  let history: readonly EpochReport[];
  try {
    history = await trainer.fit(epochs, {
      resume: flags.resume ?? false,
      acceptNewLabels: flags.acceptNewLabels ?? false,
      signal,
    });
  } finally {
    endProgress();
    stop();
  }
  const directory = trainer.directory ?? "";
  const isAugmented = existsSync(join(directory, RUN_SHEET));
  if (!flags.json)
    terminal.out(closingText({ directory, history, tasks: trainer.tasks }, epochs, terminal, isAugmented));
}

interface TrainedEpochs {
  readonly directory: string;
  readonly history: readonly EpochReport[];
  readonly tasks: readonly Task[];
}

/** The last epoch's figures, where everything lies, and what to do next. */
function closingText(
  { directory, history, tasks }: TrainedEpochs,
  epochs: number,
  terminal: Terminal,
  isAugmented: boolean,
): string {
  const last = history.at(-1);
  const run = shownPath(directory);
  const hint = history.length > epochs ? ` (${epochs} were asked for; --epochs N trains more)` : "";
  return [
    `${history.length} ${history.length === 1 ? "epoch is" : "epochs are"} trained${hint}. The last one:`,
    ...(last ? [epochTable(last, tasks, terminal)] : []),
    `Checkpoints: ${shownPath(join(directory, "checkpoints"))}`,
    `Log:         ${shownPath(join(directory, "log.jsonl"))}`,
    ...(isAugmented ? [`Augmented:   ${shownPath(join(directory, RUN_SHEET))} (a picture)`] : []),
    `Next:        mttc evaluate ${run}`,
    `             mttc export ${run}`,
  ].join("\n");
}
