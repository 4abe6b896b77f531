// `mttc train SPEC`: a whole run, with evaluation and a checkpoint after each epoch. Ctrl-C saves and stops,
// a second one stops at once.
import type { Command } from "commander";
import {
  parsePositive,
  parseRate,
  parseSinkNames,
  withProviderOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";
import type { TrainFlags } from "./trainAction.ts";

export function addTrainCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("train")
    .description("train a spec; writes the run to its logdir")
    .argument("<spec>", "spec file (YAML or JSON), or the folder of a run to go on with")
    .option("--resume", "go on from the newest checkpoint of logdir")
    .option(
      "--lr <rate>",
      "with --resume: go on with another learning rate, which the run then keeps",
      parseRate,
    )
    .option("--accept-new-labels", "with --resume: go on although the training labels have changed")
    .option("--epochs <n>", "train until so many epochs are done in all (default: the spec's)", parsePositive)
    .option("--autotune", "measure first which spelling of each convolution is fastest, on the CPU, too")
    .option("--no-autotune", "take the usual spelling of convolutions, without measuring it on the device")
    .option(
      "--cuda-graph",
      "record a step on the GPU once and replay it, if replays prove to do what plain steps do",
    )
    .option("--find-lr", "do not train: try rising learning rates for some steps, draw the loss, propose one")
    .option(
      "--log-to <sinks>",
      "log to tensorboard, mlflow or both, too (as the spec's log_to)",
      parseSinkNames,
    )
    .option("--ranks <n>", "train with so many processes on this machine, started by mpiexec", parsePositive)
    .option("--no-report", "write no report.html at the end")
    .option("--json", "print each epoch's report as a line of JSON");
  withProviderOption(withRuntimeOptions(command)).action(async (file: string, flags: TrainFlags) => {
    const { startTraining } = await import("./trainStart.ts");
    await startTraining(file, flags, terminal);
  });
}
