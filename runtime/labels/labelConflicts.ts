// Images that have two labels of one task, which no model can learn: rows of one path, and, where it costs
// little to know, files of the same content. In: labelled rows. Out: sentences that name them.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import { relative } from "node:path";
import { crc32 } from "node:zlib";
import { MttcError } from "../../compiler/diagnostics.ts";
import { openTasks } from "../../compiler/tasks/openTask.ts";
import type { Task } from "../../compiler/tasks/task.ts";
import { systemCode } from "../files/fileSystem.ts";
import { readImageFile } from "../images/imageFile.ts";
import type { ImageRows } from "../tables/imageRows.ts";
import type { PathList } from "../tables/stringTable.ts";
import { type LabelledRows, labelsByTask, type PreparedLabels } from "./classes.ts";
import { listNames } from "./labelWarnings.ts";
import { hasClasses, hasFlags, hasLabel, type TaskLabels } from "./taskLabels.ts";

/** Contents are compared in tables of so many rows at most, */
const MAX_COMPARED_ROWS = 50_000;
/** and of so many bytes: files of one size alone are read. */
const MAX_COMPARED_BYTES = 256 * 2 ** 20;
const FILES_AT_ONCE = 16;
/** A hash of 24 bits and a row of 28 share a double, so that a typed array sorts both. */
const MAX_ROWS = 2 ** 28;

/** Images with several labels of a task, a sentence for each task and table that has any. */
export async function conflictWarnings({ tasks, train, val }: PreparedLabels): Promise<string[]> {
  const opened = openTasks(tasks);
  const found: string[] = [];
  for (const rows of val === undefined ? [train] : [train, val])
    found.push(...(await conflictsOf(rows, opened)));
  return found;
}

async function conflictsOf(rows: LabelledRows, tasks: readonly Task[]): Promise<string[]> {
  const ofContent = await rowsOfOneContent(rows.paths);
  const covered = new Set(ofContent.flat());
  const ofPath = [...rowsOfOnePath(rows.paths)].filter(([row = -1]) => !covered.has(row));
  const groups = [...ofPath, ...ofContent].sort(([a = 0], [b = 0]) => a - b);
  return [...labelsByTask(rows)].flatMap(([task, labels]) => {
    const textOf = labelTexts(labels, tasks.find(({ name }) => name === task)?.groups);
    const conflicts = groups.flatMap((group) => {
      const different = [...new Set(group.flatMap(textOf))];
      if (different.length < 2) return [];
      return [`${placesText(rows, group)}: ${different.join(" or ")}`];
    });
    if (conflicts.length === 0) return [];
    const images = conflicts.length === 1 ? "an image has" : `${conflicts.length} images have`;
    return [`task "${task}": ${images} several labels: ${listNames(conflicts)}`];
  });
}

/** The text of a row's label, by its class or tags, else by its numbers; none where it is missing. */
function labelTexts(
  labels: TaskLabels,
  groups: Task["groups"] | undefined,
): (row: number) => readonly string[] {
  return (row) => {
    if (!hasLabel(labels, row)) return [];
    const numbers = labels.values.subarray(row * labels.width, (row + 1) * labels.width);
    if (!groups || !(hasClasses(labels) || hasFlags(labels))) return [numbers.join(" ")];
    return [
      groups
        .of(numbers)
        .map((place) => groups.names[place])
        .join("|"),
    ];
  };
}

function placesText({ paths, locate }: ImageRows, group: readonly number[]): string {
  const names = [...new Set(group.map((row) => paths.at(row) ?? ""))].map(shortPath);
  const places = group.map((row) => locate(row).line).filter((line) => line !== undefined);
  const lines = places.length > 0 ? ` (lines ${listNames(places.map(String))})` : "";
  return `${listNames(names)}${names.length > 1 ? ", the same image" : ""}${lines}`;
}

/** From the working directory on, where the path lies in it. */
function shortPath(path: string): string {
  const way = relative("", path);
  return way === "" || way.startsWith("..") ? path : way;
}

/** Rows that name one path, in groups of two and more. Memory: eight bytes a row. */
function* rowsOfOnePath(paths: PathList): Generator<number[]> {
  if (paths.length > MAX_ROWS) return;
  const keys = new Float64Array(paths.length);
  let row = 0;
  for (const path of paths) keys[row] = (crc32(path) >>> 8) * MAX_ROWS + row++;
  keys.sort();
  const hashAt = (place: number): number => Math.floor((keys[place] ?? Number.NaN) / MAX_ROWS);
  for (let start = 0; start < keys.length; ) {
    let end = start + 1;
    while (end < keys.length && hashAt(end) === hashAt(start)) end++;
    if (end - start > 1) yield* byPath(paths, keys.subarray(start, end));
    start = end;
  }
}

/** The rows of one hash, by their paths. */
function* byPath(paths: PathList, keys: Float64Array): Generator<number[]> {
  const rowsOf = new Map<string, number[]>();
  for (const key of keys) {
    const row = key % MAX_ROWS;
    const path = paths.at(row) ?? "";
    const rows = rowsOf.get(path) ?? [];
    rowsOf.set(path, rows);
    rows.push(row);
  }
  for (const rows of rowsOf.values()) if (rows.length > 1) yield rows;
}

/** Rows that name several paths of one content; none where finding them would take long. */
async function rowsOfOneContent(paths: PathList): Promise<number[][]> {
  if (paths.length > MAX_COMPARED_ROWS) return [];
  const rowsOf = new Map<string, number[]>();
  for (const [row, path] of [...paths].entries()) rowsOf.set(path, [...(rowsOf.get(path) ?? []), row]);
  const bySize = new Map<number, string[]>();
  await inParallel([...rowsOf.keys()], async (path) => {
    const stat = await lstat(path);
    if (stat.isFile()) bySize.set(stat.size, [...(bySize.get(stat.size) ?? []), path]);
  });
  const alike = [...bySize].filter(([, files]) => files.length > 1);
  const bytes = alike.reduce((sum, [size, files]) => sum + size * files.length, 0);
  if (bytes > MAX_COMPARED_BYTES) return [];
  const byHash = new Map<string, string[]>();
  await inParallel(
    alike.flatMap(([, files]) => files),
    async (path) => {
      const hash = createHash("sha256")
        .update(await readImageFile(path))
        .digest("hex");
      byHash.set(hash, [...(byHash.get(hash) ?? []), path]);
    },
  );
  const groups = [...byHash.values()].filter(({ length }) => length > 1);
  return groups.map((files) => files.flatMap((path) => rowsOf.get(path) ?? []).sort((a, b) => a - b));
}

/** Does the same with every path, several at once; what cannot be read is left to those who need it. */
async function inParallel(paths: readonly string[], work: (path: string) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < paths.length; index = next++)
      await work(paths[index] ?? "").catch((error: unknown) => {
        if (!(error instanceof MttcError) && systemCode(error) === undefined) throw error;
      });
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, worker));
}
