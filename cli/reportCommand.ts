// `mttc report RUN`: one page of all that is known of a run, for a browser.
import { type Command, InvalidArgumentError } from "commander";
import type { ReportFlags } from "./reportAction.ts";
import { withOverwriteOption, withProviderOption, withRuntimeOptions } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

export function addReportCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("report")
    .description(
      "one page of a run for the browser: curves, confusions, reliability, mistakes, spec, machine",
    )
    .argument("<run>", "folder of the run (its logdir), or its spec")
    .option("-o, --output <file>", "page to write (default: report.html in the run's folder)", parsePageName)
    .option(
      "--seconds <n>",
      "how long validation images are looked at; 0: not at all (default: 60)",
      parseSeconds,
    );
  withOverwriteOption(withProviderOption(withRuntimeOptions(command))).action(
    async (run: string, flags: ReportFlags) => {
      const { runFolderOf } = await import("./specFile.ts");
      const folder = await runFolderOf(run);
      const { reportRun } = await import("./reportAction.ts");
      await reportRun(folder, flags, terminal);
    },
  );
}

/** The name of a page to write; a usage fault unless it ends as one does. */
export function parsePageName(text: string): string {
  if (!/\.html?$/i.test(text)) throw new InvalidArgumentError("expected a file name that ends in .html");
  return text;
}

function parseSeconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || !Number.isFinite(value))
    throw new InvalidArgumentError("expected a number of seconds, 0 or more");
  return value;
}
