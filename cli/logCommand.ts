// `mttc log RUN`: sends what a run has logged to TensorBoard or MLflow, what they have not had yet.
import type { Command } from "commander";
import type { LogFlags } from "./logAction.ts";
import { parseSinkNames } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addLogCommand(program: Command, terminal: Terminal): void {
  program
    .command("log")
    .description("send what a run has logged to TensorBoard or MLflow: all that they have not had")
    .argument("<run>", "folder of a run, or the spec that it was trained from")
    .option("--to <sinks>", "tensorboard, mlflow or both (default: the run's log_to)", parseSinkNames)
    .action(async (given: string, flags: LogFlags) => {
      const { runFolderOf } = await import("./specFile.ts");
      const { sendRunLog } = await import("./logAction.ts");
      await sendRunLog(given, await runFolderOf(given), flags, terminal);
    });
}
