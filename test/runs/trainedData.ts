// Runs of the tiny data set, for tests of what happens to a run's folder afterwards.
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseWritten } from "../../compiler/spec/parseSpec.ts";
import { experimentFromSpec } from "../../runtime/train/experiment.ts";
import { type FitOptions, MultiTaskTrainer } from "../../runtime/train/multiTaskTrainer.ts";
import { makeTinyData, type TinyData, tinySpec } from "../cli/tinyData.ts";

/** A trainer of a spec's text in a folder, as the command line makes it. */
export function trainerOfText(folder: string, text: string): MultiTaskTrainer {
  const file = join(folder, "spec.yml");
  const { spec, given } = parseWritten(text, file);
  return new MultiTaskTrainer(experimentFromSpec(spec, file, given), { threads: 1 });
}

/** A trainer of the tiny spec in a data set's folder, with keys changed. */
export function trainerOf(folder: string, changes: Readonly<Record<string, string>> = {}): MultiTaskTrainer {
  return trainerOfText(folder, tinySpec(changes));
}

/** Trains to `epochs`; the lines that the trainer logged. */
export async function train(
  folder: string,
  epochs: number,
  changes: Readonly<Record<string, string>> = {},
  options: FitOptions = {},
): Promise<string[]> {
  const lines: string[] = [];
  await using trainer = trainerOf(folder, changes);
  trainer.on("log", ({ message }) => lines.push(message));
  await trainer.fit(epochs, options);
  return lines;
}

/** The tiny data set with a run of two epochs in `run`. */
export async function trainedData(): Promise<TinyData> {
  const data = await makeTinyData();
  try {
    await train(data.folder, 2);
  } catch (error) {
    await data[Symbol.asyncDispose]();
    throw error;
  }
  return data;
}

const OLDER = resolve("test/fixtures/olderRuns");

/** The runs that earlier versions wrote, each with its spec. */
export const OLDER_RUNS = [
  ["layers", "spec.yml"],
  ["imported", "imported.yml"],
  ["version2", "version2.yml"],
  ["roles", "roles.yml"],
] as const;

/** A copy of the runs that earlier versions wrote. */
export async function olderRuns(): Promise<TinyData> {
  const folder = await mkdtemp(join(tmpdir(), "mttc-older-"));
  await cp(OLDER, folder, { recursive: true });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
