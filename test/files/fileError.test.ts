// Names nearby are offered to whoever looks for a file, and not to whoever writes one.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError } from "../../runtime/files/fileSystem.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "mttc-file-error-"));
  writeFileSync(join(folder, "epoch-0001"), "");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function hintOf(action: string): Promise<string | undefined> {
  const path = join(folder, "epoch-0002");
  const missing = await readFile(path).catch((cause: unknown) => fileError(cause, path, action));
  if (!(missing instanceof MttcError)) throw missing;
  expect(missing.message).toContain(`cannot ${action}: it does not exist (ENOENT)`);
  return missing.faults[0]?.hint;
}

test.each(["read", "read the model", "look at it", "list the checkpoints"])("cannot %s", async (action) => {
  expect(await hintOf(action)).toBe(`did you mean "${join(folder, "epoch-0001")}"?`);
});

test.each(["write", "write the dump", "remove", "make the folder"])("cannot %s", async (action) => {
  expect(await hintOf(action)).toBeUndefined();
});
