// What `mttc train` does: a run with its progress, and what came of it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ErrorCode, MttcError } from "../compiler/diagnostics.ts";
import { withTargets } from "../compiler/spec/logKeys.ts";
import type { SinkName } from "../compiler/spec/sinkNames.ts";
import type { Task } from "../compiler/tasks/task.ts";
import { RUN_SHEET } from "../runtime/augment/runSheet.ts";
import { PROBES_FOLDER } from "../runtime/probes/epochProbes.ts";
import type { RankEnd } from "../runtime/ranks/channelProtocol.ts";
import { RUN_FILE } from "../runtime/runs/runFile.ts";
import type { EpochReport } from "../runtime/train/events.ts";
import type { Experiment } from "../runtime/train/experiment.ts";
import { MultiTaskTrainer } from "../runtime/train/multiTaskTrainer.ts";
import type { Ranks } from "../runtime/train/ranks.ts";
import type { KeepingSpec } from "../runtime/train/runJudge.ts";
import { interruptSignal } from "./interruptSignal.ts";
import { shownPath } from "./pathText.ts";
import { reportTrained } from "./reportAction.ts";
import { type RuntimeFlags, runtimeOptions } from "./runtimeOptions.ts";
import { sinkLines } from "./sinkLines.ts";
import type { Terminal } from "./terminal.ts";
import { bestText, epochTable, showProgress } from "./trainProgress.ts";

/** Options of the command. */
export interface TrainFlags extends RuntimeFlags {
  readonly resume?: boolean;
  readonly acceptNewLabels?: boolean;
  readonly epochs?: number;
  readonly lr?: number;
  readonly autotune?: boolean;
  readonly cudaGraph?: boolean;
  readonly findLr?: boolean;
  readonly logTo?: readonly SinkName[];
  readonly json?: boolean;
  readonly report?: boolean;
  readonly ranks?: number;
}

/** Trains the experiment that `file` names, with several processes where `ranks` are given, which it closes. */
export async function trainExperiment(
  file: string,
  experiment: Experiment,
  flags: TrainFlags,
  terminal: Terminal,
  ranks?: Ranks,
): Promise<void> {
  const { spec } = experiment;
  if (spec.logdir === null)
    throw new MttcError({
      code: "E_CONFIG",
      message: "missing; the run needs a folder to be written to",
      at: { file, path: "logdir" },
      hint: "add a line such as `logdir: runs/first`",
    });
  const { signal, stop } = interruptSignal(terminal, "stopping: what is under way is finished and saved");
  try {
    const trained = await train(experiment, flags, terminal, signal, ranks);
    const { directory, failure } = trained;
    await ranks?.close(endOf(failure));
    const isWanted = flags.report !== false && existsSync(join(directory, RUN_FILE));
    // The trainer is closed: its device is free for the model that the report asks.
    const report = isWanted ? await reportTrained(directory, flags, terminal, signal) : undefined;
    if (failure !== undefined && report) terminal.note(`report: ${shownPath(report.path)}`);
    if (failure !== undefined) throw failure;
    if (!flags.json) terminal.out(closingText(trained, flags.epochs ?? spec.epochs, terminal, report?.path));
  } finally {
    stop();
  }
}

/** Ends of training after which a run has something to show. */
const SHOWN_ENDS: readonly ErrorCode[] = ["E_INTERRUPTED", "E_DIVERGED"];

/** How the run ends for the other ranks. Of numbers that are not finite they have nothing to say. */
function endOf(failure: MttcError | undefined): RankEnd {
  return { kind: failure?.code === "E_INTERRUPTED" ? "interrupted" : "done" };
}

/** Trains, and says how that ended: with what failed where a run is left that has something to show. */
async function train(
  experiment: Experiment,
  flags: TrainFlags,
  terminal: Terminal,
  signal: AbortSignal,
  ranks: Ranks | undefined,
): Promise<TrainedEpochs> {
  const epochs = flags.epochs ?? experiment.spec.epochs;
  const { spec } = experiment;
  const log_to = withTargets(spec.log_to, flags.logTo ?? []);
  await using trainer = new MultiTaskTrainer(
    { ...experiment, spec: { ...spec, log_to } },
    {
      ...runtimeOptions(flags),
      ...(ranks === undefined ? {} : { ranks }),
      ...(flags.autotune === undefined ? {} : { autotune: flags.autotune }),
      ...(flags.cudaGraph ? { cudaGraph: true } : {}),
    },
  );
  if (flags.json) trainer.on("epoch", (report) => terminal.out(JSON.stringify(report)));
  const endProgress = showProgress(trainer, epochs, terminal);
  let failure: MttcError | undefined;
  try {
    const { resume = false, acceptNewLabels = false, lr } = flags;
    await trainer.fit(epochs, { resume, acceptNewLabels, ...(lr === undefined ? {} : { lr }), signal });
  } catch (error) {
    if (!(error instanceof MttcError) || !error.faults.some(({ code }) => SHOWN_ENDS.includes(code)))
      throw error;
    failure = error;
  } finally {
    endProgress();
  }
  const { directory = "", history, tasks, spec: trained } = trainer;
  const sinks = await sinkLines(trained, directory);
  const { test_labels: tested, split } = trained;
  const hasTest = tested !== null || split?.test != null;
  return { directory, history, tasks, spec: trained, sinks, failure, hasTest };
}

interface TrainedEpochs {
  readonly directory: string;
  /** Why training ended before its time. */
  readonly failure: MttcError | undefined;
  readonly history: readonly EpochReport[];
  readonly tasks: readonly Task[];
  /** Lines on where it was logged to. */
  readonly sinks: readonly string[];
  /** Whether there are rows that nothing has seen yet. */
  readonly hasTest: boolean;
  readonly spec: KeepingSpec;
}

/** The last epoch's figures, the best epoch, where everything lies, and what to do next. */
function closingText(
  { directory, history, tasks, spec, sinks, hasTest }: TrainedEpochs,
  epochs: number,
  terminal: Terminal,
  report: string | undefined,
): string {
  const last = history.at(-1);
  const isAugmented = existsSync(join(directory, RUN_SHEET));
  const isProbed = existsSync(join(directory, PROBES_FOLDER));
  const run = shownPath(directory);
  const hint = history.length > epochs ? ` (${epochs} were asked for; --epochs N trains more)` : "";
  const early = history.length < epochs ? ` of ${epochs}, and no better one is expected` : "";
  return [
    `${history.length} ${history.length === 1 ? "epoch is" : "epochs are"} trained${hint}${early}. The last one:`,
    ...(last ? [epochTable(last, tasks, terminal)] : []),
    ...bestText(history, tasks, spec),
    `Checkpoints: ${shownPath(join(directory, "checkpoints"))}`,
    `Log:         ${shownPath(join(directory, "log.jsonl"))}`,
    ...(isAugmented ? [`Augmented:   ${shownPath(join(directory, RUN_SHEET))} (a picture)`] : []),
    ...(isProbed
      ? [`Probes:      ${shownPath(join(directory, PROBES_FOLDER))} (a folder for each epoch)`]
      : []),
    ...(report === undefined ? [] : [`Report:      ${shownPath(report)} (open it in a browser)`]),
    ...sinks,
    `Next:        mttc evaluate ${run}`,
    ...(hasTest
      ? [`             mttc evaluate ${run} --test (once no setting is to be chosen any more)`]
      : []),
    `             mttc export ${run}`,
  ].join("\n");
}
