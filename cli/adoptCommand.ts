// `mttc adopt SPEC STATE`: what another program trained from the spec's bundle becomes a run.
import type { Command } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import type { AdoptFlags } from "./adoptAction.ts";
import { parsePositive, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addAdoptCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("adopt")
    .description("make a run of a state that another program trained, from a bundle of mttc compile")
    .argument("<spec>", "the spec file that the bundle was compiled from")
    .argument(
      "<state>",
      "what was trained: .safetensors as compiler/bundle/CONTRACT.md says, or ONNX Runtime Training's checkpoint",
    )
    .option("-o, --output <dir>", "folder of the run (default: the spec's logdir); it must hold none yet")
    .option("--epoch <n>", "epochs that are finished, where the file does not say", parsePositive)
    .option("--json", "print the result as JSON");
  withProviderOption(withRuntimeOptions(command)).action(
    async (spec: string, state: string, flags: AdoptFlags) => {
      const { isBundle, loadExperiment } = await import("./specFile.ts");
      if (await isBundle(spec))
        throw new MttcError({
          code: "E_USAGE",
          message: "expected the spec that the bundle was compiled from, found the bundle",
          at: { file: spec },
          hint: `mttc adopt spec.yml ${state}`,
        });
      const experiment = await loadExperiment(spec);
      const { adoptState } = await import("./adoptAction.ts");
      await adoptState(spec, { experiment, state }, flags, terminal);
    },
  );
}
