// Images that are in two of the training, validation and test labels at once, whose evaluation would flatter:
// by the file that a path leads to, whatever links, letter case or Unicode form it is written in, and by
// content where the hashes of all images are known. In: labels; out: E_SPLIT_LEAK with every such image, or
// nothing.
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Fault, Location } from "../../compiler/diagnostics.ts";
import { readImageFile } from "../images/imageFile.ts";
import { FaultList } from "../tables/faultList.ts";
import type { ImageRows, Splits } from "../tables/imageRows.ts";

interface Named {
  readonly path: string;
  readonly row: number;
}

/** An image of one table, and the same of another. */
type Shared = Named & { readonly other: Named };

/** Rows of images, as far as pairs of tables ask. */
type PairedRows = Pick<ImageRows, "locate"> & { readonly paths: Iterable<string> };

/** Two tables of a run that may share no image; the second is evaluated on. */
export interface TablePair<Rows extends PairedRows = PairedRows> {
  readonly seen: Rows;
  readonly held: Rows;
  /** What images of the first are called. */
  readonly name: "training" | "validation";
}

/** The pairs of a run's tables. */
export function pairsOf<Rows extends PairedRows>({
  train,
  val,
  test,
}: {
  readonly train: Rows;
  readonly val?: Rows | undefined;
  readonly test?: Rows | undefined;
}): TablePair<Rows>[] {
  return [
    ...(val ? [{ seen: train, held: val, name: "training" } as const] : []),
    ...(test ? [{ seen: train, held: test, name: "training" } as const] : []),
    ...(val && test ? [{ seen: val, held: test, name: "validation" } as const] : []),
  ];
}

/** Where an image is listed. */
export interface ListedAt {
  readonly path: string;
  readonly place: Location;
}

/** An image of one table that another (`name` says which) has, too. */
export function leakFault(held: ListedAt, seen: ListedAt, name: TablePair["name"]): Fault {
  const same = seen.path === held.path ? "" : `: the same image as ${seen.path}`;
  const places = `${placeText(held.place)} and ${placeText(seen.place)}`;
  const hint = `listed in ${places}; \`split_leak: allow\` lets both have it`;
  return { code: "E_SPLIT_LEAK", message: `is a ${name} image too${same}`, at: { file: held.path }, hint };
}

/**
 * E_SPLIT_LEAK for rows whose path leads to the file of a row in another table. Reads no images, except two
 * whose paths differ in letter case or Unicode form alone.
 */
export async function refuseSharedFiles(splits: Splits): Promise<void> {
  const faults = new FaultList();
  for (const { seen, held, name } of pairsOf<ImageRows>(splits))
    for (const { path, row, other } of await sharedFiles(seen, held))
      faults.add(
        leakFault(
          { path, place: held.locate(row) },
          { path: other.path, place: seen.locate(other.row) },
          name,
        ),
      );
  faults.throwIfAny();
}

/** Images of `held`, once each, whose file is that of a row of `seen`. */
export async function sharedFiles(seen: ImageRows, held: ImageRows): Promise<Shared[]> {
  const folders = await realFolders([seen.paths, held.paths]);
  const keyOf = (path: string): string => join(folders.get(dirname(path)) ?? "", basename(path));
  const byKey = new Map<string, Named[]>();
  let row = 0;
  for (const path of held.paths) {
    const key = folded(keyOf(path));
    const named = byKey.get(key) ?? [];
    byKey.set(key, named);
    if (!named.some((other) => other.path === path)) named.push({ path, row });
    row++;
  }
  const shared: Shared[] = [];
  const found = new Set<string>();
  row = -1;
  for (const path of seen.paths) {
    row++;
    for (const named of byKey.get(folded(keyOf(path))) ?? []) {
      if (found.has(named.path)) continue;
      const isSame = keyOf(path) === keyOf(named.path) || (await isSameImage(path, named.path));
      if (!isSame) continue;
      found.add(named.path);
      shared.push({ ...named, other: { path, row } });
    }
  }
  return shared;
}

/** E_SPLIT_LEAK for images whose SHA-256 (`hashes`, by path) is that of an image of another table. */
export function refuseSameContent(splits: Splits, hashes: ReadonlyMap<string, string>): void {
  const faults = new FaultList();
  for (const pair of pairsOf<ImageRows>(splits))
    for (const { fault } of sameContent(pair, hashes)) faults.add(fault);
  faults.throwIfAny();
}

/** Images of a pair's second table (once each) whose content is that of an image of the first. */
export function* sameContent(
  { seen, held, name }: TablePair,
  hashes: ReadonlyMap<string, string>,
): Generator<{ readonly path: string; readonly fault: Fault }> {
  const known = new Map<string, Named>();
  let row = 0;
  for (const path of seen.paths) {
    const hash = hashes.get(path);
    if (hash !== undefined && !known.has(hash)) known.set(hash, { path, row });
    row++;
  }
  const told = new Set<string>();
  row = -1;
  for (const path of held.paths) {
    row++;
    const other = known.get(hashes.get(path) ?? "");
    if (other === undefined || told.has(path)) continue;
    told.add(path);
    const places = [
      { path, place: held.locate(row) },
      { path: other.path, place: seen.locate(other.row) },
    ] as const;
    yield { path, fault: leakFault(...places, name) };
  }
}

/** The real folder of each folder that a path names; one that does not exist stands for itself. */
async function realFolders(lists: readonly Iterable<string>[]): Promise<ReadonlyMap<string, string>> {
  const folders = new Map<string, string>();
  for (const paths of lists)
    for (const path of paths) {
      const folder = dirname(path);
      if (folders.has(folder)) continue;
      // What cannot be looked up cannot be read either; the reader says why.
      folders.set(folder, await realpath(folder).catch(() => folder));
    }
  return folders;
}

/** Alike for names that a file system may take for one: NFC, and lower case. */
function folded(path: string): string {
  return path.normalize("NFC").toLowerCase();
}

/** Whether two names are of one file, or of files of the same content. */
async function isSameImage(a: string, b: string): Promise<boolean> {
  const stats = await Promise.all([lstat(a), lstat(b)]).catch(() => undefined);
  if (stats === undefined || !stats.every((stat) => stat.isFile())) return false;
  const [one, other] = stats;
  if (one.ino === other.ino && one.dev === other.dev) return true;
  if (one.size !== other.size) return false;
  const [bytes, more] = [await readImageFile(a), await readImageFile(b)];
  return bytes.equals(more);
}

function placeText({ file, line, path }: Location): string {
  const parts = [file, line].filter((part) => part !== undefined);
  return parts.length > 0 ? parts.join(":") : (path ?? "the labels");
}
