// `mttc compile SPEC -o DIR`: the bundle of ONNX files alone, without training.
import { type Command, Option } from "commander";
import { DEFAULT_TARGET, TARGETS } from "../compiler/bundle/manifest.ts";
import { MttcError } from "../compiler/diagnostics.ts";
import { ORT_VERSIONS } from "../compiler/ortTraining/ortVersions.ts";
import type { CompileFlags } from "./compileAction.ts";
import type { OrtTrainingFlags } from "./ortTrainingAction.ts";
import type { Terminal } from "./terminal.ts";

/** `--target`, also of `mttc inspect`. */
export function targetOption(choices: readonly string[] = TARGETS): Option {
  return new Option("--target <provider>", "what graphs are spelled for")
    .choices(choices)
    .default(DEFAULT_TARGET);
}

/** In place of a target: files for another runtime than mttc's own, which are no bundle. */
const ORT_TRAINING = "ort-training";

type AnyFlags = Omit<CompileFlags, "target"> & OrtTrainingFlags & { readonly target: string };

export function addCompileCommand(program: Command, terminal: Terminal): void {
  program
    .command("compile")
    .description("compile a spec into a bundle of ONNX graphs (train, grad, apply, evaluate, trunk)")
    .argument("<spec>", "spec file (YAML or JSON)")
    .requiredOption("-o, --output <dir>", "folder to write; an older bundle there is replaced")
    .addOption(targetOption([...TARGETS, ORT_TRAINING]))
    .addOption(
      new Option("--ort-version <release>", "release of ONNX Runtime Training (default 1.19)").choices(
        ORT_VERSIONS,
      ),
    )
    .option("--timing", "print how long each stage and pass took")
    .option("--json", "print the result as JSON")
    .addHelpText("after", `\n${HELP}`)
    .action(async (spec: string, flags: AnyFlags) => {
      const target = TARGETS.find((each) => each === flags.target);
      if (target !== undefined && flags.ortVersion !== undefined) throw releaseWithoutTarget();
      const { loadLocated } = await import("./specFile.ts");
      const located = await loadLocated(spec);
      if (target === undefined) {
        const { compileArtifacts } = await import("./ortTrainingAction.ts");
        return await compileArtifacts(located, flags, terminal);
      }
      const { compileExperiment } = await import("./compileAction.ts");
      await compileExperiment(located.experiment, { ...flags, target }, terminal);
    });
}

const HELP = `--target ${ORT_TRAINING} writes training_model.onnx, eval_model.onnx, optimizer_model.onnx and checkpoint
for ONNX Runtime Training 1.17 to 1.19, which trains on phones and desktops: docs/ort-training.md.
MTTC_DUMP=dir writes the graph after every stage and pass to dir.`;

function releaseWithoutTarget(): MttcError {
  const hint = `give --target ${ORT_TRAINING}, too`;
  return new MttcError({ code: "E_USAGE", message: "--ort-version is of ONNX Runtime Training alone", hint });
}
