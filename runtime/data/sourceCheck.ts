// Every file of a label table looked at once, before any training: is it there, is it a regular file, does it
// lie where it may. In: paths; out: all faults together, or a stamp of each file, by which later reads notice
// that it was replaced. Reads no content.
import { lstat } from "node:fs/promises";
import type { Fault, Location } from "../../compiler/diagnostics.ts";
import { failureText } from "../checkpoint/fileSystem.ts";
import { FaultList } from "./faultList.ts";
import { fileTypeFault, listedIn } from "./imageFile.ts";
import type { PathScope } from "./pathScope.ts";
import { stampOf } from "./sourceStamp.ts";
import type { PathList } from "./stringTable.ts";

const FILES_AT_ONCE = 16;

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
  for (const [, fault] of [...found].sort(([a], [b]) => a - b)) faults.add(fault);
  faults.throwIfAny();
  return stamps;
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
