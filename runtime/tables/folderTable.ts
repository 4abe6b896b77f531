// A folder as a label table: <root>/<class>/<image files> labels one task, each image with its folder's name.
// Classes and files come in the order of their code units, so that rows do not depend on the file system.
import { opendir } from "node:fs/promises";
import { join } from "node:path";
import { type Location, MttcError } from "../../compiler/diagnostics.ts";
import { type LabelTable, LabelTableBuilder, labelPlaces, type TableColumns } from "./labelTable.ts";
import { StringTable } from "./stringTable.ts";

/** What an image is called. */
export const IMAGE_NAME = /\.(png|jpe?g|webp|tiff?|gif|avif|bmp)$/i;

/**
 * Reads the tree at `root`. Hidden entries are left out, and so, with notes, are symbolic links and what is no
 * image by its name.
 * Throws E_CONFIG for several tasks, E_CSV_SHAPE for images outside of a class's folder, for folders within
 * one, and where there is no image.
 */
export async function readFolderTable(root: string, columns: TableColumns): Promise<LabelTable> {
  const { tasks } = columns;
  const places = labelPlaces(columns);
  if (places.length !== 1) {
    const found = tasks.length === 1 ? `${places.length} columns` : tasks.length;
    const message = `${root} is a folder with a folder per class, which labels one task; found ${found}`;
    const hint = "give a table with a column per task";
    throw new MttcError({ code: "E_CONFIG", message, at: { path: "tasks" }, hint });
  }
  let skipped = 0;
  const files = new StringTable();
  const locate = (place: number): Location => ({ file: join(root, files.at(place) ?? "") });
  // Files are named as they are found: there is nothing to put before or behind.
  const builder = new LabelTableBuilder(root, { ...columns, path_prefix: null, path_suffix: null }, locate);
  const refuse = (message: string, file: string): void => {
    builder.faults.add({ code: "E_CSV_SHAPE", message, at: { file } });
  };
  let links = 0;
  const list = async (folder: string): Promise<FolderEntry[]> => {
    const entries = await listFolder(folder);
    const own = entries.filter(({ isLink }) => !isLink);
    links += entries.length - own.length;
    return own;
  };
  for (const { name, isFolder } of await list(root)) {
    if (!isFolder) {
      if (IMAGE_NAME.test(name)) refuse("an image outside of the classes' folders", join(root, name));
      else skipped++;
      continue;
    }
    for (const entry of await list(join(root, name))) {
      const path = join(root, name, entry.name);
      if (entry.isFolder) refuse("a folder within a class's folder", path);
      else if (!IMAGE_NAME.test(entry.name)) skipped++;
      else {
        files.push(join(name, entry.name));
        builder.add(join(name, entry.name), [{ word: name }], files.length - 1);
      }
    }
  }
  const linkNote = `${links} symbolic links in ${root} are not followed (left out)`;
  const notes = skipped > 0 ? [`${skipped} files in ${root} are no images by their names (left out)`] : [];
  if (links > 0) notes.push(linkNote);
  builder.faults.throwIfAny();
  if (files.length === 0) {
    const message = "expected a folder of images per class, found no image";
    const hint = links > 0 ? { hint: linkNote } : {};
    throw new MttcError({ code: "E_CSV_SHAPE", message, at: { file: root }, ...hint });
  }
  return builder.finish(root, notes);
}

interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly isLink: boolean;
}

async function listFolder(folder: string): Promise<FolderEntry[]> {
  const entries: FolderEntry[] = [];
  for await (const entry of await opendir(folder)) {
    if (entry.name.startsWith(".")) continue;
    entries.push({ name: entry.name, isFolder: entry.isDirectory(), isLink: entry.isSymbolicLink() });
  }
  return entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
