// What `mttc predict` is given to look at -> images: files, folders of them, label tables with a column of
// paths, and patterns, which some shells leave to the program.
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { glob, isDynamicPattern } from "tinyglobby";
import { MttcError } from "../compiler/diagnostics.ts";
import type { ImageInput } from "../runtime/export/predictor.ts";
import { fileError, systemCode } from "../runtime/files/fileSystem.ts";
import { IMAGE_NAME } from "../runtime/tables/folderTable.ts";
import { readLabelTable } from "../runtime/tables/labelFiles.ts";
import { isTableName } from "./specFile.ts";

/** Images to predict, in their order, and a sentence for each place where something was passed over. */
export interface ListedImages {
  readonly images: readonly Extract<ImageInput, { path: string }>[];
  readonly notes: readonly string[];
}

/** All images of the arguments. E_FILE for what is not there, and what reading a label table throws. */
export async function imageArguments(args: readonly string[], filepaths: string): Promise<ListedImages> {
  const lists = await Promise.all(args.map((arg) => imagesOf(arg, filepaths)));
  return { images: lists.flatMap(({ images }) => images), notes: lists.flatMap(({ notes }) => notes) };
}

/** A file as it is; of a folder the images in it and below it, sorted. E_FILE where there is none. */
export async function listImages(path: string): Promise<string[]> {
  return (await imagesOf(path, "")).images.map(({ name }) => name);
}

async function imagesOf(arg: string, filepaths: string): Promise<ListedImages> {
  const kind = await kindOf(arg);
  if (kind === "folder") return await inFolder(arg);
  if (kind === "table") return await inTable(arg, filepaths);
  if (kind === "pattern") return await matching(arg);
  return { images: [await linked(arg)], notes: [] };
}

async function kindOf(arg: string): Promise<"folder" | "table" | "file" | "pattern"> {
  try {
    if ((await stat(arg)).isDirectory()) return "folder";
    return isTableName(arg) ? "table" : "file";
  } catch (error) {
    if (systemCode(error) === "ENOENT" && isDynamicPattern(arg)) return "pattern";
    throw fileError(error, arg, "read the image");
  }
}

async function inFolder(folder: string): Promise<ListedImages> {
  let entries: { name: string; isFile: boolean; isLink: boolean }[];
  try {
    entries = (await readdir(folder, { recursive: true, withFileTypes: true })).map((entry) => ({
      name: join(entry.parentPath, entry.name),
      isFile: entry.isFile(),
      isLink: entry.isSymbolicLink(),
    }));
  } catch (error) {
    throw fileError(error, folder, "read the folder");
  }
  const named = entries.filter(({ name, isFile, isLink }) => (isFile || isLink) && IMAGE_NAME.test(name));
  const images = await Promise.all(named.map(({ name }) => linked(name)));
  const found = images.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  if (found.length === 0) throw noImage(folder, "the folder has no image");
  return { images: found, notes: passedOver(entries.filter(({ isFile }) => isFile).length, named, folder) };
}

/** A link that the user named, or in a folder of the user's, is followed; a broken one is its own fault. */
async function linked(name: string): Promise<{ name: string; path: string }> {
  const isLink = await lstat(name).then(
    (stat) => stat.isSymbolicLink(),
    () => false,
  );
  return { name, path: isLink ? await realpath(name).catch(() => name) : name };
}

function passedOver(files: number, named: readonly { isFile: boolean }[], place: string): string[] {
  const others = files - named.filter(({ isFile }) => isFile).length;
  if (others === 0) return [];
  return [`${others} ${others === 1 ? "file" : "files"} of ${place} passed over: no images by their names`];
}

async function matching(pattern: string): Promise<ListedImages> {
  const files = (await glob(pattern.replaceAll("\\", "/"), { absolute: false, dot: false })).sort();
  const images = await Promise.all(files.filter((file) => IMAGE_NAME.test(file)).map(linked));
  if (images.length === 0) throw noImage(pattern, "no image matches the pattern");
  return {
    images,
    notes: passedOver(
      files.length,
      images.map(() => ({ isFile: true })),
      pattern,
    ),
  };
}

/** Images are called as a command in this folder would call them. */
async function inTable(file: string, filepaths: string): Promise<ListedImages> {
  const { paths } = await readLabelTable(resolve(file), { tasks: [], filepaths });
  return { images: [...paths].map((path) => ({ name: nameInTable(file, path), path })), notes: [] };
}

/** What an image of a table is called, which the user named `file`. */
export function nameInTable(file: string, path: string): string {
  const below = relative(dirname(resolve(file)), path);
  return below.startsWith("..") ? path : join(dirname(file), below);
}

function noImage(file: string, message: string): MttcError {
  const hint = "images are files that end in .jpg, .jpeg, .png, .webp, .tif or .tiff";
  return new MttcError({ code: "E_FILE", message, at: { file }, hint });
}
