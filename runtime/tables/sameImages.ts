// Rows of a table that name one image, by one path or by files of one content. In: paths. Out: groups.
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { MttcError } from "../../compiler/diagnostics.ts";
import { systemCode } from "../files/fileSystem.ts";
import { readImageFile } from "../images/imageFile.ts";
import type { PathList } from "./stringTable.ts";

/** Contents are compared in tables of so many rows at most, */
const MAX_COMPARED_ROWS = 50_000;
/** and of so many bytes: files of one size alone are read. */
const MAX_COMPARED_BYTES = 256 * 2 ** 20;
const FILES_AT_ONCE = 16;
/** A hash of 24 bits and a row of 28 share a double, so that a typed array sorts both. */
const MAX_ROWS = 2 ** 28;

/** Rows that name one path, in groups of two and more. Memory: eight bytes a row. */
export function* rowsOfOnePath(paths: PathList): Generator<number[]> {
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
export async function rowsOfOneContent(paths: PathList): Promise<number[][]> {
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
