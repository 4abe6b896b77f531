// Where an export comes from: version of mttc, run, epoch and the date of its checkpoint, so that
// the same run exports the same bytes on any day.
import { readdir, stat } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import type { ModelOrigin } from "../../compiler/export/modelMetadata.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import type { ExportSource } from "./exportSource.ts";

const CHECKPOINTS = "checkpoints";
/** A checkpoint's folder; those that were found damaged end in more. */
const CHECKPOINT_NAME = /^epoch-(\d+)(\.\d+)?$/;
const packageSchema = z.object({ version: z.string() });

/** The version of mttc in its package.json. */
export function packageVersion(): string {
  return packageSchema.parse(createRequire(import.meta.url)("#package")).version;
}

/** What the files of an export say of their source. E_FILE where the run's folder cannot be read. */
export async function exportOrigin(
  trainer: Pick<ExportSource, "spec" | "directory" | "history" | "checkpoint">,
): Promise<ModelOrigin> {
  const { spec, directory, history, checkpoint } = trainer;
  const epoch = history.length;
  const date = checkpoint
    ? await dateOf(checkpoint.path)
    : directory && (await checkpointDate(join(directory, CHECKPOINTS), epoch));
  return {
    mttc: packageVersion(),
    ...(spec.logdir !== null && { run: basename(resolve(spec.logdir)) }),
    epoch,
    ...(date && { date: date.toISOString() }),
  };
}

/** When a checkpoint was saved; undefined where it is gone by now. */
async function dateOf(path: string): Promise<Date | undefined> {
  try {
    return new Date((await stat(path)).mtimeMs);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, path, "read the checkpoint");
  }
}

/** When the newest checkpoint of an epoch was saved; undefined where there is none. */
async function checkpointDate(folder: string, epoch: number): Promise<Date | undefined> {
  try {
    const names = (await readdir(folder)).filter((name) => Number(CHECKPOINT_NAME.exec(name)?.[1]) === epoch);
    const times = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).mtimeMs));
    return times.length === 0 ? undefined : new Date(Math.max(...times));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, folder, "read the checkpoints");
  }
}
