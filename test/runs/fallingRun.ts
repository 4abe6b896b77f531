// A run whose validation becomes worse from the second epoch on: the classes of its validation labels are
// those of the training labels, one for the other.
import { cp, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { COLOURS, makeTinyData, type TinyData } from "../cli/tinyData.ts";
import { trainerOf } from "./trainedData.ts";

/** What such a run is trained by: the loss of colours falls on the training labels alone. */
export const FALLING = { tasks: "[colour]", task_weights: "null", lr: "0.02", monitor: "colour/loss" };

/** The tiny data set with turned validation labels. */
export async function fallingData(): Promise<TinyData> {
  const data = await makeTinyData(FALLING);
  const table = join(data.folder, "val.csv");
  const [blue, red] = COLOURS;
  const turned = (await readFile(table, "utf8")).replace(/,(blue|red),/g, (_, colour) =>
    colour === blue ? `,${red},` : `,${blue},`,
  );
  await writeFile(table, turned);
  return data;
}

/** Trains it, and keeps a copy of every checkpoint of a whole epoch in `<folder>/copies`. */
export async function trainFalling(
  { folder }: Pick<TinyData, "folder">,
  epochs: number,
  changes: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  await using trainer = trainerOf(folder, { ...FALLING, ...changes });
  const [lines, copies]: [string[], Promise<void>[]] = [[], []];
  trainer.on("log", ({ message }) => lines.push(message));
  trainer.on("checkpoint", ({ path }) =>
    copies.push(cp(path, join(folder, "copies", basename(path)), { recursive: true })),
  );
  await trainer.fit(epochs);
  await Promise.all(copies);
  return lines;
}
