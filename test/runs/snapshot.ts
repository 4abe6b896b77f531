// A folder as it is, to be compared with what it is later: every file and folder below it with content, mode
// and the time of its last change.
import { createHash } from "node:crypto";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

/** `path: kind, mode, mtime, content's hash` of everything in `folder`, the folder itself included. */
export async function snapshot(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = [folder, ...entries.map((entry) => join(entry.parentPath, entry.name))].sort();
  const lines = await Promise.all(
    paths.map(async (path) => {
      const stat = await lstat(path);
      const content = stat.isFile() ? hashOf(await readFile(path)) : "";
      return [relative(folder, path), `${stat.mode} ${stat.mtimeMs} ${content}`] as const;
    }),
  );
  return Object.fromEntries(lines);
}

function hashOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
