// A folder with a folder of images per class, or a folder of such folders: train/ and val/.
import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { readFolderTable } from "../tables/folderTable.ts";
import { ExportBuilder, type LabelExport, type Split, splitNamed } from "./labelExport.ts";

/** The task of a tree of classes, which names none. */
const FOLDER_TASK = "class";

/** Reads a tree. Images are absolute paths. E_CSV_SHAPE for images out of place; what node:fs throws. */
export async function readFolderParts(root: string): Promise<LabelExport> {
  const builder = new ExportBuilder();
  const entries = await readdir(root, { withFileTypes: true });
  const parts = entries.filter((entry) => entry.isDirectory() && splitNamed(entry.name) !== undefined);
  if (!parts.some(({ name }) => splitNamed(name) === "train")) {
    await takeTree(builder, root);
    return builder.finish("a folder with a folder per class");
  }
  for (const { name } of parts) await takeTree(builder, join(root, name), splitNamed(name));
  for (const entry of entries)
    if (!parts.includes(entry)) builder.passOver(`${entry.name}${entry.isDirectory() ? "/" : ""}`);
  return builder.finish(`a folder of ${parts.map(({ name }) => `${name}/`).join(" and ")}`);
}

async function takeTree(builder: ExportBuilder, root: string, split?: Split): Promise<void> {
  const { paths, notes } = await readFolderTable(root, { tasks: [FOLDER_TASK], filepaths: "" });
  for (const image of paths) {
    builder.image(image, split);
    builder.label({ image, task: FOLDER_TASK, names: [basename(dirname(image))], place: image });
  }
  for (const note of notes) builder.passOver(note);
}
