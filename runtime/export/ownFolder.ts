// Folders that mttc replaces as a whole (exports, bundles): only those that it wrote itself may be replaced,
// so that a mistyped `-o .` costs nobody their files.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MttcError } from "../../compiler/diagnostics.ts";
import { fileError, systemCode } from "../checkpoint/fileSystem.ts";

/**
 * How a folder of ours is known: a JSON file in it with `format` and `files` (a list of names, or a map by
 * name).
 */
export interface FolderMark {
  readonly listFile: string;
  readonly format: string;
}

const listSchema = z.object({
  format: z.string(),
  files: z.union([z.array(z.string()), z.record(z.string(), z.unknown())]),
});

/** E_FILE unless `directory` is absent, empty, or holds what its list names and nothing else. */
export async function refuseForeignFolder(directory: string, mark: FolderMark): Promise<void> {
  const refuse = (message: string, cause?: unknown): never => {
    const hint = "choose another folder; only what mttc itself wrote there is replaced";
    throw new MttcError({ code: "E_FILE", message, at: { file: directory }, hint }, { cause });
  };
  let names: string[];
  try {
    names = await readdir(directory);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return;
    if (systemCode(error) === "ENOTDIR") return refuse("is not a folder", error);
    throw fileError(error, directory, "read the folder");
  }
  if (names.length === 0) return;
  if (!names.includes(mark.listFile)) return refuse("the folder holds files that mttc did not write");
  const known = await listedFiles(join(directory, mark.listFile), mark);
  const foreign = names.filter((name) => name !== mark.listFile && !known.has(name));
  if (foreign.length > 0)
    refuse(`the folder holds files that mttc did not write: ${foreign.slice(0, 5).join(", ")}`);
}

/** The files that the list names; none where it is not one of ours, so that the caller refuses the folder. */
async function listedFiles(path: string, { format }: FolderMark): Promise<Set<string>> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw fileError(error, path, "read");
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return new Set();
  }
  const list = listSchema.safeParse(json).data;
  if (list?.format !== format) return new Set();
  return new Set(Array.isArray(list.files) ? list.files : Object.keys(list.files));
}
