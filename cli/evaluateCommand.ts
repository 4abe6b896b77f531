// `mttc evaluate RUN`: the run's newest checkpoint on its validation labels (else its training labels).
import type { Command } from "commander";
import type { EvaluateFlags } from "./evaluateAction.ts";
import { withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addEvaluateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("evaluate")
    .description("accuracy, macro recall and confusion matrix of a run, on its validation labels")
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("--json", "print the report as JSON");
  withProviderOption(withRuntimeOptions(command)).action(async (run: string, flags: EvaluateFlags) => {
    const { runFolderOf } = await import("./specFile.ts");
    const folder = await runFolderOf(run);
    const { evaluateRun } = await import("./evaluateAction.ts");
    await evaluateRun(run, folder, flags, terminal);
  });
}
