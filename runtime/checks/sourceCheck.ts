// Every file of a label table looked at once, before any training: is it there, is it a regular file, does it
// lie where it may. In: paths; out: all faults together, or a stamp of each file, by which later reads notice
// that it was replaced. Reads no content.
import { lstat, readdir } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Fault, Location } from "../../compiler/diagnostics.ts";
import { failureText } from "../files/fileSystem.ts";
import { fileTypeFault, listedIn } from "../images/imageFile.ts";
import { stampOf } from "../images/sourceStamp.ts";
import { FaultList } from "../tables/faultList.ts";
import type { PathList } from "../tables/stringTable.ts";
import type { PathScope } from "./pathScope.ts";

const FILES_AT_ONCE = 16;
/** Faults alike that are told one by one; of more the first is an example. */
const MAX_ALIKE = 3;

/**
 * The stamp of each row's file (see stampOf). Throws E_FILE, E_PATH_TYPE and, with a scope, E_PATH_ESCAPE;
 * the faults of all rows at once, in their order.
 */
export async function checkImageFiles(
  paths: PathList,
  locate: (row: number) => Location,
  scope?: PathScope,
): Promise<Uint32Array> {
  const stamps = new Uint32Array(paths.length);
  const found = new Map<number, Fault>();
  let next = 0;
  const work = async (): Promise<void> => {
    for (let row = next++; row < paths.length; row = next++) {
      const outcome = await lookAt(paths.at(row) ?? "", locate(row), scope);
      if (typeof outcome === "number") stamps[row] = outcome;
      else found.set(row, outcome);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, work));
  const faults = new FaultList();
  const inOrder = [...found].sort(([a], [b]) => a - b);
  for (const fault of await merged(inOrder, paths.length)) faults.add(fault);
  faults.throwIfAny();
  return stamps;
}

/** Faults that say the same of many rows as one, with the first as example and their number. */
async function merged(found: readonly (readonly [number, Fault])[], rows: number): Promise<Fault[]> {
  const groups = new Map<string, Fault[]>();
  for (const [, fault] of found) {
    const key = `${fault.code} ${fault.message}`;
    const group = groups.get(key) ?? [];
    groups.set(key, group);
    group.push(fault);
  }
  const faults: Fault[] = [];
  for (const group of groups.values()) {
    const [first] = group;
    if (group.length <= MAX_ALIKE || first === undefined) faults.push(...group);
    else faults.push(await exampleOf(first, group.length, rows));
  }
  const rowOf = new Map(found.map(([row, fault]) => [fault.at?.file, row]));
  return faults.sort((a, b) => (rowOf.get(a.at?.file) ?? 0) - (rowOf.get(b.at?.file) ?? 0));
}

async function exampleOf(fault: Fault, count: number, rows: number): Promise<Fault> {
  const advice = fault.code === "E_FILE" ? await absentAdvice(fault.at?.file ?? "") : undefined;
  const message = `${fault.message}; ${count} of the ${rows} rows are like it`;
  const hint = [fault.hint, advice].filter((part) => part !== undefined).join("; ");
  return { ...fault, message, hint };
}

/** What makes a file of the name in a table: an ending that it has on the disk, or another folder. */
async function absentAdvice(path: string): Promise<string> {
  const [folder, name] = [dirname(path), basename(path)];
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined)
    return `there is no folder ${folder}: \`path_prefix\` in the spec adds or replaces what paths begin with`;
  const longer = names.find((other) => other.startsWith(`${name}.`));
  if (longer !== undefined)
    return `there is ${longer}: \`path_suffix: ${longer.slice(name.length)}\` in the spec adds the ending`;
  return "`path_prefix` and `path_suffix` in the spec complete paths";
}

async function lookAt(path: string, place: Location, scope: PathScope | undefined): Promise<Fault | number> {
  const at = { file: path };
  const outside = await scope?.fault(path, place);
  if (outside !== undefined) return outside;
  try {
    const stat = await lstat(path);
    const message = fileTypeFault(stat);
    if (message === undefined) return stampOf(stat);
    const linked = stat.isSymbolicLink() ? await scope?.linkFault(path, place) : undefined;
    return linked ?? { code: "E_PATH_TYPE", message, at, ...listedIn(place) };
  } catch (error) {
    const message = `cannot read the image: ${failureText(error)}`;
    return { code: "E_FILE", message, at, ...listedIn(place) };
  }
}
