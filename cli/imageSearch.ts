// Where the images of a table lie, for `mttc init`: the cells of a column as they are, or with what has to be
// put before or behind them so that files below the table's folder are found.
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { dirname, extname, join, posix, relative, resolve, sep } from "node:path";
import { systemCode } from "../runtime/files/fileSystem.ts";
import { IMAGE_NAME } from "../runtime/tables/folderTable.ts";
import { type PathRule, rulePath } from "../runtime/tables/imagePaths.ts";

/** How far images are looked for. */
const MAX_DEPTH = 4;
const MAX_IMAGES = 100_000;
/** The share of the cells that a rule must find. */
const MIN_FOUND = 0.5;

/** Images that some cells name, and the rule by which they do. */
export interface FoundImages {
  readonly rule: PathRule;
  /** Absolute paths, one per cell. */
  readonly paths: readonly string[];
}

/** Looks for images below the folder of one table; the folder is listed once, when it is first needed. */
export class ImageSearch {
  readonly #folder: string;
  #images: Promise<readonly string[]> | undefined;

  constructor(table: string) {
    this.#folder = dirname(resolve(table));
  }

  /** The images of cells; undefined where no rule finds most of them. */
  async find(cells: readonly string[]): Promise<FoundImages | undefined> {
    if (cells.length === 0) return undefined;
    const asWritten = await this.#try(cells, {});
    if (asWritten !== undefined) return asWritten;
    this.#images ??= listImages(this.#folder);
    const rules = (await this.#images).length > 0 ? rulesFor(cells[0] ?? "", await this.#images) : [];
    for (const rule of rules) {
      const found = await this.#try(cells, rule);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #try(cells: readonly string[], rule: PathRule): Promise<FoundImages | undefined> {
    const paths = cells.map((cell) => resolve(this.#folder, rulePath(cell, rule).replaceAll("\\", sep)));
    const exist = await Promise.all(paths.map((path) => lstat(path).then((stat) => stat.isFile(), isAbsent)));
    return exist.filter(Boolean).length > MIN_FOUND * cells.length ? { rule, paths } : undefined;
  }
}

function isAbsent(error: unknown): boolean {
  if (systemCode(error) === undefined) throw error;
  return false;
}

/** What could be put before and behind a cell so that it names one of the images; the least change first. */
function rulesFor(cell: string, images: readonly string[]): PathRule[] {
  const written = cell.replaceAll("\\", "/");
  const rules: PathRule[] = [];
  for (const image of images) {
    const ending = extname(image);
    for (const suffix of [null, ending]) {
      const name = suffix === null ? image : image.slice(0, -ending.length);
      const suffixKey = suffix === null ? {} : { path_suffix: suffix };
      if (name === written) rules.push(suffixKey);
      else if (name.endsWith(`/${written}`))
        rules.push({ ...suffixKey, path_prefix: name.slice(0, name.length - written.length) });
      else if (written.includes("/") && posix.basename(name) === posix.basename(written))
        rules.push({ ...suffixKey, path_prefix: replacedBeginning(written, name) });
    }
  }
  return rules.sort((a, b) => Object.keys(a).length - Object.keys(b).length);
}

/** The beginnings in which two paths of one ending differ, to be replaced. */
function replacedBeginning(written: string, found: string): Record<string, string> {
  const [from, to] = [written.split("/"), found.split("/")];
  while (from.length > 0 && to.length > 0 && from.at(-1) === to.at(-1)) {
    from.pop();
    to.pop();
  }
  const folder = (parts: readonly string[]): string => (parts.length === 0 ? "" : `${parts.join("/")}/`);
  return { [folder(from)]: folder(to) };
}

/** Images below a folder, relative to it and with slashes. */
async function listImages(root: string): Promise<string[]> {
  const images: string[] = [];
  let folders = [root];
  for (let depth = 0; depth < MAX_DEPTH && folders.length > 0; depth++) {
    const next: string[] = [];
    for (const folder of folders)
      for (const entry of await entriesOf(folder)) {
        const path = join(folder, entry.name);
        if (entry.isDirectory() && !entry.name.startsWith(".") && entry.name !== "node_modules")
          next.push(path);
        else if (IMAGE_NAME.test(entry.name)) images.push(relative(root, path).replaceAll(sep, "/"));
        if (images.length >= MAX_IMAGES) return images;
      }
    folders = next;
  }
  return images;
}

async function entriesOf(folder: string): Promise<Dirent[]> {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return [];
  }
}

/**
 * The files of images that a source names: as it names them from `folder` on, else the one image below `folder`
 * of that name, whose ending or the eight digits that an upload puts before a name may be lacking. Absolute
 * paths by name; what is not found is left out.
 */
export async function locateImages(
  names: Iterable<string>,
  folder: string,
): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const absent: string[] = [];
  for (const name of names) {
    const path = resolve(folder, name.replaceAll("\\", sep));
    if (await lstat(path).then((stat) => stat.isFile(), isAbsent)) found.set(name, path);
    else absent.push(name);
  }
  if (absent.length === 0) return found;
  const byName = new Map<string, string[]>();
  for (const image of await listImages(folder))
    for (const key of [posix.basename(image), posix.basename(image, extname(image))])
      byName.set(key, [...(byName.get(key) ?? []), image]);
  for (const name of absent) {
    const last = posix.basename(name.replaceAll("\\", "/").replace(/[?#].*$/, ""));
    const candidates = byName.get(last) ?? byName.get(last.replace(/^[0-9a-f]{8}-/, "")) ?? [];
    if (candidates.length === 1) found.set(name, resolve(folder, candidates[0] ?? ""));
  }
  return found;
}

/** The folder of images of which some lie outside of all `roots`; undefined if none does. */
export function outerFolder(images: readonly string[], roots: readonly string[]): string | undefined {
  const isInside = (path: string, root: string): boolean => !relative(root, path).startsWith("..");
  if (images.every((path) => roots.some((root) => isInside(path, root)))) return undefined;
  let common = dirname(images[0] ?? "/");
  while (!images.every((path) => isInside(path, common))) common = dirname(common);
  return common;
}
