// @ts-check
// Files that a person chose -> a table of rows and the photo of each: by a CSV among them, or by the
// folders that they lie in.
import { ClientError } from "../errors.js";
import { rowPath } from "./rowPaths.js";
import { parseCsv } from "./table.js";

/**
 * @typedef {import("./bundle.js").Manifest} Manifest
 * @typedef {import("./table.js").Table} Table
 * @typedef {{ path: string, file: Blob }} ChosenFile a path inside what was chosen, with slashes
 * @typedef {{ table: Table, photos: readonly ChosenFile[] }} Photos a photo of each row
 */

const PHOTO = /\.(jpe?g|png|webp)$/i;
const PATH = "file";

/**
 * The rows of the chosen files. E_FILE where there are no photos, two tables, or a row's photo is not
 * there; E_CSV_SHAPE, E_CSV_HEADER; E_USAGE where folders cannot say the labels of the bundle's tasks.
 * @param {readonly ChosenFile[]} files
 * @param {Manifest} manifest
 * @returns {Promise<Photos>}
 */
export async function readPhotos(files, manifest) {
  const photos = files.filter(({ path }) => PHOTO.test(path));
  if (photos.length === 0)
    throw new ClientError("E_FILE", "there are no photos (.jpg, .png, .webp) among the files");
  const tables = files.filter(({ path }) => /\.csv$/i.test(path));
  if (tables.length > 1) {
    const names = tables.map(({ path }) => path).join(", ");
    throw new ClientError("E_FILE", `there are several tables, ${names}: choose one with its photos`);
  }
  const [own] = tables;
  if (!own) return byFolder(photos, manifest);
  const table = parseCsv(await own.file.text(), own.path);
  const find = finderOf(photos);
  const found = table.rows.map((row, i) => {
    const path = rowPath(row, table, manifest.spec);
    const photo = find(path);
    if (!photo) throw new ClientError("E_FILE", `${own.path}: row ${i + 1}: ${path} is not among the files`);
    return photo;
  });
  return { table, photos: found };
}

/**
 * Finds a photo by a path whose beginning may not have been chosen.
 * @param {readonly ChosenFile[]} photos
 */
function finderOf(photos) {
  /** @type {Map<string, ChosenFile | null>} */
  const byEnd = new Map();
  for (const photo of photos) {
    const parts = photo.path.split("/");
    for (let i = 0; i < parts.length; i++) {
      const end = parts.slice(i).join("/");
      // Two that end alike are found by a longer end alone; a whole path is always one photo.
      byEnd.set(end, i > 0 && byEnd.has(end) ? null : photo);
    }
  }
  return (/** @type {string} */ path) => {
    const parts = path
      .replaceAll("\\", "/")
      .split("/")
      .filter((part) => part !== "." && part !== "");
    for (let i = 0; i < parts.length; i++) {
      const found = byEnd.get(parts.slice(i).join("/"));
      if (found) return found;
    }
    return undefined;
  };
}

/**
 * @param {readonly ChosenFile[]} photos
 * @param {Manifest} manifest
 * @returns {Photos}
 */
function byFolder(photos, { tasks }) {
  const [task] = tasks;
  if (tasks.length !== 1 || task?.kind !== "classes")
    throw new ClientError(
      "E_USAGE",
      "folders name the classes of one task; this bundle needs a CSV table with the photos",
    );
  const sorted = [...photos].sort((a, b) => (a.path < b.path ? -1 : 1));
  const rows = sorted.map(({ path }) => {
    const folder = path.split("/").at(-2) ?? "";
    if (!task.classes?.includes(folder))
      throw new ClientError(
        "E_LABEL",
        `${path}: its folder is no class of ${JSON.stringify(task.name)}: ${task.classes?.join(", ")}`,
      );
    return { [PATH]: path, [task.name]: folder };
  });
  return { table: { columns: [PATH, task.name], rows, file: "the folders" }, photos: sorted };
}
