// Paths of images as a label table writes them -> paths of files: what the spec puts before and behind them,
// and backslashes, which Windows writes between folders and other systems allow in names.
import { readdirSync } from "node:fs";
import { resolve, sep } from "node:path";
import type { Spec } from "../../compiler/spec/schema.ts";
import { systemCode } from "../files/fileSystem.ts";
import { type PathList, StringTable } from "./stringTable.ts";

/** What is put before and behind the paths of a table; the spec's keys of these names. */
export type PathRule = Partial<Pick<Spec, "path_prefix" | "path_suffix">>;

/** A path with its prefix added or replaced, and with its suffix if it does not end so yet. */
export function rulePath(path: string, { path_prefix: prefix, path_suffix: suffix }: PathRule): string {
  if (path.trim() === "") return path;
  const full = suffix && !path.endsWith(suffix) ? path + suffix : path;
  if (typeof prefix === "string") return prefix + full;
  if (!prefix) return full;
  const [from, to] = Object.entries(prefix)
    .filter(([begin]) => full.startsWith(begin))
    .reduce((longest, entry) => (entry[0].length > longest[0].length ? entry : longest), ["", ""]);
  return to + full.slice(from.length);
}

/**
 * The same paths with slashes for backslashes, in rows where no such file or folder exists in `folder` as
 * written; the list itself where that is none. Each folder in question is listed once.
 */
export function withSlashes(paths: PathList, folder: string): PathList {
  if (sep === "\\") return paths;
  const known = new Map<string, ReadonlySet<string>>();
  const namesIn = (parent: string): ReadonlySet<string> => {
    const names = known.get(parent) ?? backslashNames(parent);
    known.set(parent, names);
    return names;
  };
  const changed = new StringTable();
  let isChanged = false;
  for (const path of paths) {
    const slashed =
      path.includes("\\") && !isNamedSo(path, folder, namesIn) ? path.replaceAll("\\", "/") : path;
    isChanged ||= slashed !== path;
    changed.push(slashed);
  }
  return isChanged ? changed : paths;
}

/** Whether the first part of a path that holds a backslash is the name of something. */
function isNamedSo(path: string, folder: string, namesIn: (parent: string) => ReadonlySet<string>): boolean {
  // A share of Windows is no path of this machine.
  if (path.startsWith("\\\\")) return true;
  const parts = path.split("/");
  const index = parts.findIndex((part) => part.includes("\\"));
  const before = parts.slice(0, index).join("/");
  const parent = resolve(folder, path.startsWith("/") ? `/${before}` : before);
  return namesIn(parent).has(parts[index] ?? "");
}

/** Names with a backslash in a folder; none where it cannot be listed. */
function backslashNames(folder: string): ReadonlySet<string> {
  try {
    return new Set(readdirSync(folder).filter((name) => name.includes("\\")));
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return new Set();
  }
}
