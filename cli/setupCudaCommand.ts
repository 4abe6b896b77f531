// `mttc setup-cuda`: brings ONNX Runtime's CUDA provider that matches the pinned core, after asking.
import type { Command } from "commander";
import type { SetupFlags } from "./setupComponent.ts";
import type { Terminal } from "./terminal.ts";

export function addSetupCudaCommand(program: Command, terminal: Terminal): void {
  program
    .command("setup-cuda")
    .description("download ONNX Runtime's CUDA provider (about 200 MB), pinned by version and SHA-256")
    .option("-y, --yes", "do not ask")
    .option("-o, --output <dir>", "folder to write (default: one in your cache, which mttc finds by itself)")
    .action(async (flags: SetupFlags) => {
      const { setUpCuda } = await import("./setupCudaAction.ts");
      await setUpCuda(flags, terminal);
    });
}
