// `mttc cross-validate SPEC --folds 5`: a run for each part of the training table that validates on it, and
// the mean and deviation of every figure. Ctrl-C saves; the same command goes on.
import { type Command, InvalidArgumentError } from "commander";
import type { CrossValidateFlags } from "./crossValidateAction.ts";
import { parsePositive, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addCrossValidateCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("cross-validate")
    .description("train and evaluate a spec k times, each time on another part of its training labels")
    .argument("<spec>", "spec file (YAML or JSON)")
    .option("--folds <k>", "parts (default: the spec's split.folds, else 5)", parseFolds)
    .option("--by <column>", "column of groups that stay together (default: the spec's split.by)")
    .option("--epochs <n>", "epochs of each fold (default: the spec's)", parsePositive)
    .option("--json", "print the figures as JSON");
  withProviderOption(withRuntimeOptions(command)).action(async (file: string, flags: CrossValidateFlags) => {
    const { loadExperiment } = await import("./specFile.ts");
    const experiment = await loadExperiment(file);
    const { crossValidateSpec } = await import("./crossValidateAction.ts");
    await crossValidateSpec(experiment, flags, terminal);
  });
}

function parseFolds(text: string): number {
  const folds = parsePositive(text);
  if (folds < 2 || folds > 100) throw new InvalidArgumentError("expected an integer from 2 to 100");
  return folds;
}
