// `mttc init LABELS.csv`: a commented spec for a label table, to be read and edited. Never overwrites.
import { access } from "node:fs/promises";
import { basename, dirname, relative, resolve } from "node:path";
import type { Command } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import { parseSpec } from "../compiler/spec/parseSpec.ts";
import { writeFileAtomically } from "../runtime/checkpoint/atomicDirectory.ts";
import { medianImageSize, readTableFacts } from "./labelColumns.ts";
import { shownPath } from "./pathText.ts";
import { draftSpec } from "./specDraft.ts";
import type { Terminal } from "./terminal.ts";

interface Flags {
  readonly output: string;
  readonly val?: string;
}

export function addInitCommand(program: Command, terminal: Terminal): void {
  program
    .command("init")
    .description("write a commented spec for a label table")
    .argument(
      "<labels>",
      "CSV, TSV, JSON Lines or Parquet with a column of image paths and a column per task, or a folder with " +
        "a folder of images per class",
    )
    .option("-o, --output <file>", "spec to write; an existing file is refused", "experiment.yml")
    .option("--val <labels>", "the same, for evaluation")
    .action((labels: string, flags: Flags) => writeDraft(labels, flags, terminal));
}

async function writeDraft(labels: string, { output, val }: Flags, terminal: Terminal): Promise<void> {
  await refuseExisting(output);
  const facts = await readTableFacts(labels);
  const size = await medianImageSize(facts.samples);
  if (size === undefined) terminal.note("warning: none of the first images can be read; imshape is a guess");
  const from = (path: string): string => relative(dirname(resolve(output)), resolve(path)) || path;
  const text = draftSpec(facts, {
    trainLabels: from(labels),
    valLabels: val === undefined ? undefined : from(val),
    name: basename(resolve(labels)).replace(/\.[^.]*$/, ""),
    imageSize: size,
  });
  parseSpec(text, output);
  await writeFileAtomically(output, text);
  const tasks = facts.tasks.map(({ name, classes }) => `${name} (${classes.length} classes)`).join(", ");
  const shown = shownPath(resolve(output));
  terminal.out(`Written to ${shown}: ${facts.rows} rows, tasks ${tasks}`);
  terminal.out(`Next: read and edit it, then  mttc inspect ${shown}  and  mttc train ${shown}`);
}

async function refuseExisting(file: string): Promise<void> {
  try {
    await access(file);
  } catch {
    // Not there, or not to be seen: writing will tell.
    return;
  }
  const hint = "choose another name with -o, or delete it";
  throw new MttcError({ code: "E_FILE", message: "exists already", at: { file }, hint });
}
