// What the training labels of a run were, in 12 bytes a row: so that a run that goes on can say what has
// changed in its table. labels.json in the run's folder; rows in, counts of differences out.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { textMark } from "../files/ownOutput.ts";
import type { LabelledRows } from "../labels/classes.ts";
import { labelBytes } from "../labels/taskLabels.ts";

export const LABELS_FILE = "labels.json";
const FORMAT = "mttc-labels";
/** How a record of ours is known. */
export const LABELS_MARK = textMark("a record of labels", `{"format":"${FORMAT}"`);
const NAME_BYTES = 8;
const ROW_BYTES = 12;

const recordSchema = z.object({
  format: z.literal(FORMAT),
  version: z.literal(1),
  /** Hash of the labels (Fingerprint.data) that the rows belong to. */
  data: z.string(),
  /** Whether an image is known by its name alone, or, where two have one name, by its whole path. */
  names: z.enum(["name", "path"]),
  /** Of each row 8 bytes of the SHA-256 of its name and 4 of its labels', base64. */
  rows: z.base64(),
});
type LabelRecord = z.output<typeof recordSchema>;

/** How many rows differ between two tables. */
export interface LabelChanges {
  readonly added: number;
  readonly removed: number;
  /** Rows of the same image with other labels. */
  readonly relabelled: number;
  /** The same rows in another order. */
  readonly isReordered: boolean;
}

/**
 * Keeps what `rows` are; `data` is their hash. Nothing is written where that is kept already. E_FILE,
 * E_DISK.
 */
export async function writeLabelRecord(directory: string, rows: LabelledRows, data: string): Promise<void> {
  if ((await readLabelRecord(directory))?.data === data) return;
  const record: LabelRecord = { format: FORMAT, version: 1, data, ...digestRows(rows) };
  await writeFileAtomically(join(directory, LABELS_FILE), `${JSON.stringify(record)}\n`);
}

/**
 * What differs between the labels of hash `data` and `rows`; undefined where the run's folder does not know
 * them (runs of earlier versions).
 */
export async function labelChanges(
  directory: string,
  data: string,
  rows: LabelledRows,
): Promise<LabelChanges | undefined> {
  const record = await readLabelRecord(directory);
  if (record?.data !== data) return undefined;
  const now = digestRows(rows, record.names);
  return compareRows(Buffer.from(record.rows, "base64"), Buffer.from(now.rows, "base64"));
}

/** "2 rows added, 1 removed, 3 relabelled". */
export function changesText({ added, removed, relabelled, isReordered }: LabelChanges): string {
  if (isReordered) return "the same rows in another order";
  return `${added} ${added === 1 ? "row" : "rows"} added, ${removed} removed, ${relabelled} relabelled`;
}

/** The record; undefined where there is none, or one that is not understood: it is a help, no more. */
async function readLabelRecord(directory: string): Promise<LabelRecord | undefined> {
  const file = join(directory, LABELS_FILE);
  try {
    return recordSchema.safeParse(JSON.parse(await readFile(file, "utf8"))).data;
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, file, "read");
  }
}

function digestRows(
  { paths, labels }: LabelledRows,
  names: LabelRecord["names"] = hasUniqueNames(paths) ? "name" : "path",
): Pick<LabelRecord, "names" | "rows"> {
  const bytes = Buffer.alloc(paths.length * ROW_BYTES);
  // Where all images lie in one folder may have moved.
  const start = names === "path" ? commonStart(paths) : 0;
  let row = 0;
  for (const path of paths) {
    const place = row * ROW_BYTES;
    const name = createHash("sha256").update(names === "name" ? basename(path) : path.slice(start));
    name.digest().copy(bytes, place, 0, NAME_BYTES);
    const label = createHash("sha256").update(labelBytes(labels, row, row + 1));
    label.digest().copy(bytes, place + NAME_BYTES, 0, ROW_BYTES - NAME_BYTES);
    row++;
  }
  return { names, rows: bytes.toString("base64") };
}

/** Characters of the folder that all paths lie in. */
function commonStart(paths: Iterable<string>): number {
  let common: string | undefined;
  for (const path of paths) {
    let end = Math.min(common?.length ?? path.length, path.length);
    while (common !== undefined && !common.startsWith(path.slice(0, end))) end--;
    common = path.slice(0, end);
  }
  return (common ?? "").lastIndexOf(sep) + 1;
}

function hasUniqueNames(paths: Iterable<string>): boolean {
  const names = new Set<string>();
  for (const path of paths) {
    const name = basename(path);
    if (names.has(name)) return false;
    names.add(name);
  }
  return true;
}

/** Of each name the labels that both have count once; what is left over is relabelled, added or removed. */
function compareRows(before: Buffer, now: Buffer): LabelChanges {
  const rest = new Map<string, string[]>();
  for (const [name, label] of digests(before)) {
    const labels = rest.get(name) ?? [];
    rest.set(name, labels);
    labels.push(label);
  }
  const unmatched: string[] = [];
  for (const [name, label] of digests(now)) {
    const labels = rest.get(name);
    const place = labels?.indexOf(label) ?? -1;
    if (place >= 0) labels?.splice(place, 1);
    else unmatched.push(name);
  }
  let [added, relabelled] = [0, 0];
  for (const name of unmatched) {
    if (rest.get(name)?.pop() === undefined) added++;
    else relabelled++;
  }
  let removed = 0;
  for (const labels of rest.values()) removed += labels.length;
  return { added, removed, relabelled, isReordered: added + removed + relabelled === 0 };
}

function* digests(bytes: Buffer): Generator<[name: string, label: string]> {
  for (let place = 0; place + ROW_BYTES <= bytes.length; place += ROW_BYTES) {
    const middle = place + NAME_BYTES;
    yield [bytes.toString("latin1", place, middle), bytes.toString("latin1", middle, place + ROW_BYTES)];
  }
}
