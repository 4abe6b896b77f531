// `mttc client [LANGUAGE] [-o DIR]`: the small programs of examples/clients that run exported files, to be had
// as files of one's own; without a language, which there are.
import type { Command } from "commander";
import type { ClientFlags } from "./clientAction.ts";
import { withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addClientCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("client")
    .description("write a small program that runs exported models in another language")
    .argument("[language]", "python, browser, ...; without it they are listed")
    .option("-o, --output <dir>", "folder to write (default: mttc-<language>)")
    .option("--json", "print the result as JSON");
  withOverwriteOption(command).action(async (language: string | undefined, flags: ClientFlags) => {
    const { listClients, writeClient } = await import("./clientAction.ts");
    if (language === undefined) await listClients(flags, terminal);
    else await writeClient(language, flags, terminal);
  });
}
