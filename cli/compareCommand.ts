// `mttc compare RUN RUN...`: several runs beside each other, in the terminal and as a page.
import type { Command } from "commander";
import type { CompareFlags } from "./compareAction.ts";
import { parsePageName } from "./reportCommand.ts";
import { withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addCompareCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("compare")
    .description("several runs beside each other: best figures of each task, keys that differ, curves")
    .argument("<run...>", "folders of runs (their logdirs), or their specs")
    .option("-o, --output <file>", "write a page for the browser, too", parsePageName)
    .option("--json", "print the comparison as JSON");
  withOverwriteOption(command).action(async (runs: readonly string[], flags: CompareFlags) => {
    const { runFolderOf } = await import("./specFile.ts");
    const folders: string[] = [];
    for (const run of runs) folders.push(await runFolderOf(run));
    const { compare } = await import("./compareAction.ts");
    await compare(folders, flags, terminal);
  });
}
