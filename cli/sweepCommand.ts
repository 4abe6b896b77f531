// `mttc sweep SPEC --over lr=1e-4..1e-2:log`: many runs of one spec that differ in a few keys, bad ones
// stopped early, and a table and a picture of what came of them.
import type { Command } from "commander";
import { parsePositive, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { SweepFlags } from "./sweepAction.ts";
import type { Terminal } from "./terminal.ts";

const RUNS = 20;
const FACTOR = 3;

export function addSweepCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("sweep")
    .description("train a spec many times with other values of some keys, and say which did best")
    .argument("<spec>", "spec file (YAML or JSON)")
    .option("--over <axis...>", "what varies: lr=1e-4..1e-2:log, shared_layers=[[64],[128]]")
    .option("--runs <n>", `points drawn at random (default: ${RUNS})`, parsePositive)
    .option("--grid", "every combination instead; a range says how many points: lr=1e-4..1e-2:log:5")
    .option("--seed <n>", "seed of the points that are drawn (default: the spec's)", parsePositive)
    .option("--epochs <n>", "epochs of the runs that train to the end (default: the spec's)", parsePositive)
    .option(
      "--halving <n>",
      "each round trains the best of so many on; 1: all to the end",
      parsePositive,
      FACTOR,
    )
    .option("-o, --output <folder>", "folder of the sweep (default: the spec's logdir and -sweep)")
    .option("--resume", "go on with the sweep that lies there")
    .option("--json", "print the runs as JSON");
  withProviderOption(withRuntimeOptions(command)).action(async (file: string, flags: SweepFlags) => {
    const { loadExperiment } = await import("./specFile.ts");
    const experiment = await loadExperiment(file);
    const { sweep } = await import("./sweepAction.ts");
    await sweep(file, experiment, { ...flags, runs: flags.runs ?? RUNS }, terminal);
  });
}
