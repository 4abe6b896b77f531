// Pictures that training made, as PNG files in the run's folder: `pictures/<name>-epoch-0003.png`. The list of
// them, under the names that they were given, is in events.jsonl.
import { join } from "node:path";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { PICTURES_FOLDER } from "../runs/logFiles.ts";
import { readEvents } from "./eventLog.ts";
import type { PictureRecord } from "./sink.ts";

/** Path in the run's folder of a picture of an epoch. */
export function pictureFile(name: string, epoch: number): string {
  return `${PICTURES_FOLDER}/${fileName(name)}-epoch-${String(epoch).padStart(4, "0")}.png`;
}

/** A name as that of a file on every system. */
export function fileName(name: string): string {
  return name.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[.-]+/, "") || "picture";
}

/** Writes a picture into the run's folder. E_FILE, E_DISK. */
export async function keepPicture(directory: string, file: string, png: Uint8Array): Promise<void> {
  await writeFileAtomically(join(directory, file), png);
}

/** The newest picture under each name, in the order of the names' first. E_FILE. */
export async function newestPictures(directory: string): Promise<PictureRecord[]> {
  const newest = new Map<string, PictureRecord>();
  for (const event of await readEvents(directory))
    if (event.kind === "picture") newest.set(event.name, event);
  return [...newest.values()];
}
