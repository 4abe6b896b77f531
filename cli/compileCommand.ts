// `mttc compile SPEC -o DIR`: the bundle of ONNX files alone, without training.
import { type Command, Option } from "commander";
import { DEFAULT_TARGET, TARGETS } from "../compiler/bundle/manifest.ts";
import type { CompileFlags } from "./compileAction.ts";
import type { Terminal } from "./terminal.ts";

/** `--target`, also of `mttc inspect`. */
export function targetOption(): Option {
  return new Option("--target <provider>", "what graphs are spelled for")
    .choices(TARGETS)
    .default(DEFAULT_TARGET);
}

export function addCompileCommand(program: Command, terminal: Terminal): void {
  program
    .command("compile")
    .description("compile a spec into a bundle of ONNX graphs (train, grad, apply, evaluate, trunk)")
    .argument("<spec>", "spec file (YAML or JSON)")
    .requiredOption("-o, --output <dir>", "folder to write; an older bundle there is replaced")
    .addOption(targetOption())
    .option("--timing", "print how long each stage and pass took")
    .option("--json", "print the result as JSON")
    .addHelpText("after", "\nMTTC_DUMP=dir writes the graph after every stage and pass to dir.")
    .action(async (spec: string, flags: CompileFlags) => {
      const { loadExperiment } = await import("./specFile.ts");
      const experiment = await loadExperiment(spec);
      const { compileExperiment } = await import("./compileAction.ts");
      await compileExperiment(experiment, flags, terminal);
    });
}
