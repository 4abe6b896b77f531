// `mttc predict MODEL IMAGES...`: an exported model on image files and folders; a table, CSV or JSON.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "commander";
import { MttcError } from "../compiler/diagnostics.ts";
import { writeFileAtomically } from "../runtime/checkpoint/atomicDirectory.ts";
import { fileError } from "../runtime/checkpoint/fileSystem.ts";
import { IMAGE_NAME } from "../runtime/data/folderTable.ts";
import { type Prediction, Predictor } from "../runtime/export/predictor.ts";
import { predictionsCsv } from "./predictionRows.ts";
import {
  type RuntimeFlags,
  runtimeOptions,
  withProviderOption,
  withRuntimeOptions,
} from "./runtimeOptions.ts";
import { decimal, renderTable } from "./tables.ts";
import type { Terminal } from "./terminal.ts";

export { csvCell, predictionsCsv } from "./predictionRows.ts";

interface Flags extends RuntimeFlags {
  readonly csv?: string;
  readonly json?: string;
}

export function addPredictCommand(program: Command, terminal: Terminal): void {
  const command = program
    .command("predict")
    .description("run an exported model on images")
    .argument("<model>", "model.onnx or a task's file, as `mttc export` wrote it")
    .argument("<images...>", "image files, and folders of them (JPEG, PNG, WebP)")
    .option("--csv <file>", "write rows file,task,class,probability,probabilities; - for stdout")
    .option("--json <file>", "write a list of the same rows; - for stdout");
  withProviderOption(withRuntimeOptions(command)).action((model: string, images: string[], flags: Flags) =>
    predictImages(model, images, flags, terminal),
  );
}

async function predictImages(
  model: string,
  images: readonly string[],
  flags: Flags,
  terminal: Terminal,
): Promise<void> {
  const paths = (await Promise.all(images.map(listImages))).flat();
  await using predictor = await Predictor.open(model, runtimeOptions(flags));
  if (predictor.note !== undefined) terminal.note(predictor.note);
  const rows: Prediction[] = [];
  for await (const row of predictor.predict(paths)) rows.push(row);
  if (flags.csv !== undefined) await write(flags.csv, predictionsCsv(rows), terminal);
  if (flags.json !== undefined) await write(flags.json, JSON.stringify(rows, null, 1), terminal);
  if (flags.csv !== undefined || flags.json !== undefined) return;
  const lines = rows.map((row) => [row.file, row.task, row.class, decimal(row.probability)]);
  terminal.out(renderTable(terminal, ["file", "task", "class", "probability"], lines, [3]));
}

async function write(file: string, text: string, terminal: Terminal): Promise<void> {
  if (file === "-") return terminal.out(text);
  await writeFileAtomically(file, `${text}\n`);
  terminal.note(`written to ${file}`);
}

/** A file as it is; of a folder the images in it and below it, sorted. E_FILE where there is none. */
export async function listImages(path: string): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { recursive: true, withFileTypes: true });
    const names = entries
      .filter((entry) => entry.isFile() && IMAGE_NAME.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    if (names.length > 0) return names;
  } catch (error) {
    throw fileError(error, path, "read the image");
  }
  throw new MttcError({
    code: "E_FILE",
    message: "the folder has no image",
    at: { file: path },
    hint: "images are files that end in .jpg, .jpeg, .png, .webp, .tif or .tiff",
  });
}
