// `mttc inspect SPEC|RUN|BUNDLE`: what a spec amounts to before (or after) it is trained, a graph of its
// compilation, or what the graphs of a compiled bundle take and give.
import { type Command, InvalidArgumentError, Option } from "commander";
import { targetOption } from "./compileCommand.ts";
import type { InspectFlags } from "./inspectAction.ts";
import { withCheckpointOption, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addInspectCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("inspect")
    .description("parameters, shapes, operations, memory, and which task's loss trains which part")
    .argument("<spec|run|bundle>", "spec file, or folder of a run or of what `mttc compile` wrote")
    .option("--json", "print the facts as JSON")
    .option("--stage <stage>", "print the graph after a stage instead (train, grad/1-built, ...)")
    .option("--at <origin>", "with --stage: only what comes from this place of the spec")
    .option("--placement", "print which provider (--ep) runs which operator, and what is left to the CPU")
    .addOption(ranksOption())
    .addOption(targetOption())
    .addHelpText("after", "\nAn unknown --stage lists those that there are.");
  withProviderOption(withRuntimeOptions(withCheckpointOption(command))).action(
    async (path: string, flags: InspectFlags) => {
      const { isBundle, isRun, loadSpecOrRun } = await import("./specFile.ts");
      if (await isBundle(path)) {
        const { inspectBundle } = await import("./inspectAction.ts");
        return await inspectBundle(path, flags, terminal);
      }
      const experiment = await loadSpecOrRun(path);
      const { checkpointFacts, refuseCheckpoint } = await import("./checkpointTable.ts");
      const hasCheckpoints = await isRun(path);
      if (!hasCheckpoints) refuseCheckpoint(flags, path);
      const { inspect } = await import("./inspectAction.ts");
      const checkpoints = hasCheckpoints ? await checkpointFacts(path, flags) : undefined;
      await inspect(experiment, flags, terminal, checkpoints);
    },
  );
}

/** `--ranks N`: what N processes exchange. */
function ranksOption(): Option {
  return new Option("--ranks <n>", "tell what so many processes exchange in a step too").argParser((text) => {
    const ranks = Number(text);
    if (Number.isInteger(ranks) && ranks >= 1 && ranks <= 65_536) return ranks;
    throw new InvalidArgumentError("expected a number of processes, from 1 to 65536");
  });
}
