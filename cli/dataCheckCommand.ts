// `mttc data check SPEC|TABLE`: tries every image before training does, in processes of their own, and
// reports all faults at once. Exit code 2 where there are any, unless --drop may leave their rows out.
import { type Command, InvalidArgumentError } from "commander";
import { withOverwriteOption } from "./runtimeOptions.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly filepaths: string;
  readonly root?: string;
  readonly drop?: number | true;
  readonly manifest?: string;
  readonly writeManifest?: string;
  readonly json?: boolean;
  readonly overwrite?: boolean;
}

const DEFAULT_DROP = 0.01;

export function addDataCheckCommand(data: Command, terminal: Terminal): void {
  const command = data
    .command("check")
    .description("try every image of a spec, a run or a label table, and report all faults")
    .argument("<spec>", "spec file (.yml, .yaml, .json), a run's folder, or a label table")
    .option("--filepaths <column>", "column of image paths, for a label table", "filepath")
    .option(
      "--root <folder>",
      "folder that all images must lie in (default: that of each table, and the spec's)",
    )
    .option(
      "--drop [share]",
      "write TABLE.checked.csv (.tsv, .jsonl) without the faulty rows, up to this share of all rows " +
        `(default ${DEFAULT_DROP})`,
      parseShare,
    )
    .option("--manifest <file>", "refuse images whose SHA-256 is not that of an earlier --write-manifest")
    .option(
      "--write-manifest <file>",
      "write the SHA-256 of every usable image as JSON, by its path from the spec's or the table's folder",
    )
    .option("--json", "print the report as JSON");
  withOverwriteOption(command).action(async (file: string, flags: Flags) => {
    const { isLabelTable, loadSpecOrRun } = await import("./specFile.ts");
    const experiment = (await isLabelTable(file)) ? undefined : await loadSpecOrRun(file);
    const { check } = await import("./dataCheckAction.ts");
    const drop = flags.drop === true ? DEFAULT_DROP : flags.drop;
    await check(file, experiment, { ...flags, drop }, terminal);
  });
}

function parseShare(text: string): number {
  const share = Number(text);
  if (text.trim() === "" || !(share >= 0 && share <= 1))
    throw new InvalidArgumentError("expected a share from 0 to 1");
  return share;
}
