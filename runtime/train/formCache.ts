// The file of measured forms: JSON, by device and version of ONNX Runtime, then by shape. It is only a
// cache: one that cannot be read counts as empty. Writers read it again before they write, whole or not at
// all.
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { systemCode } from "../files/fileSystem.ts";

const FORMAT = "mttc-forms";
const VERSION = 1;

/** Median milliseconds by form; null for one that the provider refused. */
export type FormTimes = Readonly<Record<string, number | null>>;

/** Times by section (device and version), then by shape key. */
export type FormCache = ReadonlyMap<string, ReadonlyMap<string, FormTimes>>;

/** Where measurements are kept: in the user's cache folder. */
export function defaultFormCache(environment: NodeJS.ProcessEnv = process.env): string {
  const folder = environment.XDG_CACHE_HOME || join(homedir(), ".cache");
  return join(folder, "mttc", "forms.json");
}

/** Reads the file; empty where there is none, or one that is damaged or of another version. */
export async function readFormCache(path: string): Promise<FormCache> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (systemCode(error) !== undefined) return new Map();
    throw error;
  }
  const file = parse(text);
  if (!isRecord(file) || file.format !== FORMAT || file.version !== VERSION || !isRecord(file.times))
    return new Map();
  return new Map(
    Object.entries(file.times).map(([section, shapes]) => [
      section,
      new Map(Object.entries(isRecord(shapes) ? shapes : {}).flatMap(([key, times]) => entryOf(key, times))),
    ]),
  );
}

/** Adds measurements to the file, beside what others have written meanwhile. E_DISK, E_FILE. */
export async function writeFormCache(
  path: string,
  section: string,
  measured: ReadonlyMap<string, FormTimes>,
): Promise<void> {
  const before = await readFormCache(path);
  const all = new Map(before).set(section, new Map([...(before.get(section) ?? []), ...measured]));
  const times = Object.fromEntries([...all].map(([name, shapes]) => [name, Object.fromEntries(shapes)]));
  await writeFileAtomically(
    path,
    `${JSON.stringify({ format: FORMAT, version: VERSION, times }, null, 1)}\n`,
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function entryOf(key: string, times: unknown): [string, FormTimes][] {
  if (!isRecord(times)) return [];
  const isTime = (time: unknown): boolean => time === null || (typeof time === "number" && time > 0);
  return Object.values(times).every(isTime) ? [[key, times as FormTimes]] : [];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
