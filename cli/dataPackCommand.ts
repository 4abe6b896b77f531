// `mttc data pack SPEC`: decodes every image of a spec once into the packed cache that training reads.
import type { Command } from "commander";
import type { PackFlags } from "./dataPackAction.ts";
import type { Terminal } from "./terminal.ts";

export function addDataPackCommand(data: Command, terminal: Terminal): void {
  data
    .command("pack")
    .description("decode every image of a spec once, into the packed cache that training reads; verify it")
    .argument("<spec>", "spec file, or a run's folder")
    .option("--refresh", "pack images anew whose files have changed (otherwise they are an error)")
    .option("--json", "print the result as JSON")
    .action(async (file: string, flags: PackFlags) => {
      const { loadSpecOrRun } = await import("./specFile.ts");
      const experiment = await loadSpecOrRun(file);
      const { pack } = await import("./dataPackAction.ts");
      await pack(file, experiment, flags, terminal);
    });
}
