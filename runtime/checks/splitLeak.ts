// Images that are in the training and in the validation labels at once, whose evaluation would flatter: by
// the file that a path leads to, whatever links, letter case or Unicode form it is written in, and by content
// where the hashes of all images are known. In: labels; out: E_SPLIT_LEAK with every such image, or nothing.
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Fault, Location } from "../../compiler/diagnostics.ts";
import { readImageFile } from "../images/imageFile.ts";
import { FaultList } from "../tables/faultList.ts";
import type { Splits } from "../tables/imageRows.ts";

interface Named {
  readonly path: string;
  readonly row: number;
}

/** An image of the validation labels that is a training image. */
export function leakFault(path: string, place: Location, training: string, trainingPlace: Location): Fault {
  const other = placeText(trainingPlace);
  const same = training === path ? "" : `: the same image as ${training}`;
  const hint = `listed in ${placeText(place)} and ${other}; \`split_leak: allow\` lets both have it`;
  return { code: "E_SPLIT_LEAK", message: `is a training image too${same}`, at: { file: path }, hint };
}

/**
 * E_SPLIT_LEAK for validation rows whose path leads to a training row's file. Reads no images, except two
 * whose paths differ in letter case or Unicode form alone.
 */
export async function refuseSharedFiles({ train, val }: Splits): Promise<void> {
  if (val === undefined) return;
  const folders = await realFolders([train.paths, val.paths]);
  const keyOf = (path: string): string => join(folders.get(dirname(path)) ?? "", basename(path));
  const validation = new Map<string, Named[]>();
  let row = 0;
  for (const path of val.paths) {
    const key = folded(keyOf(path));
    const named = validation.get(key) ?? [];
    validation.set(key, named);
    if (!named.some((other) => other.path === path)) named.push({ path, row });
    row++;
  }
  const faults = new FaultList();
  const found = new Set<string>();
  row = -1;
  for (const path of train.paths) {
    row++;
    for (const named of validation.get(folded(keyOf(path))) ?? []) {
      if (found.has(named.path)) continue;
      const isSame = keyOf(path) === keyOf(named.path) || (await isSameImage(path, named.path));
      if (!isSame) continue;
      found.add(named.path);
      faults.add(leakFault(named.path, val.locate(named.row), path, train.locate(row)));
    }
  }
  faults.throwIfAny();
}

/** E_SPLIT_LEAK for validation images whose SHA-256 (`hashes`, by path) is a training image's. */
export function refuseSameContent({ train, val }: Splits, hashes: ReadonlyMap<string, string>): void {
  if (val === undefined) return;
  const faults = new FaultList();
  for (const { path, row, training } of sameContent(train.paths, val.paths, hashes))
    faults.add(leakFault(path, val.locate(row), training.path, train.locate(training.row)));
  faults.throwIfAny();
}

/** Paths of `val` (once each) whose content is that of a path of `train`. */
export function* sameContent(
  train: Iterable<string>,
  val: Iterable<string>,
  hashes: ReadonlyMap<string, string>,
): Generator<Named & { readonly training: Named }> {
  const trained = new Map<string, Named>();
  let row = 0;
  for (const path of train) {
    const hash = hashes.get(path);
    if (hash !== undefined && !trained.has(hash)) trained.set(hash, { path, row });
    row++;
  }
  const seen = new Set<string>();
  row = -1;
  for (const path of val) {
    row++;
    const training = trained.get(hashes.get(path) ?? "");
    if (training === undefined || seen.has(path)) continue;
    seen.add(path);
    yield { path, row, training };
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
