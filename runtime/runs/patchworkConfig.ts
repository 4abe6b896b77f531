// config.yml beside a run, as patchwork writes it: its keys under `model`, `input` and `augment`, for whoever
// reads runs of both. mttc itself reads spec.yml, which has all keys.
import { join } from "node:path";
import { stringify } from "yaml";
import type { Spec } from "../../compiler/spec/schema.ts";
import { writeFileAtomically } from "../files/atomicDirectory.ts";
import { fileError, systemCode } from "../files/fileSystem.ts";
import { readHead, textMark } from "../files/ownOutput.ts";

export const CONFIG_FILE = "config.yml";
/** Its first line, by which it is known as ours. */
const CONFIG_HEAD = "# The spec of a run by patchwork's names; spec.yml has all of it.\n";

/** How it is known. */
export const CONFIG_MARK = textMark("a config", CONFIG_HEAD);

/** patchwork's INPUT_PARAMS, those that a multi-task trainer has. */
const INPUT_KEYS = [
  "imshape",
  "num_channels",
  "norm",
  "batch_size",
  "num_parallel_calls",
  "single_channel",
] as const satisfies readonly (keyof Spec)[];

/** What its MultiTaskTrainer keeps beside, and what of mttc's keys has no place there. */
const MODEL_KEYS = [
  "filepaths",
  "shared_layers",
  "task_layers",
  "train_fcn",
  "weight_decay",
  "lr",
  "decay_type",
  "lr_decay",
  "distill_weight",
  "tasks",
  "optimizer",
  "global_pooling",
  "dropout_rate",
  "seed",
] as const satisfies readonly (keyof Spec)[];

/** The text of the file. */
export function patchworkConfig(spec: Spec): string {
  const pick = (keys: readonly (keyof Spec)[]) => Object.fromEntries(keys.map((key) => [key, spec[key]]));
  const model = {
    ...pick(MODEL_KEYS),
    adaptive: spec.task_weights === "adaptive",
    notes: spec.notes ?? "",
    trainer: "multitask",
  };
  const config = { augment: spec.augment, input: pick(INPUT_KEYS), model };
  return `${CONFIG_HEAD}${stringify(config, { sortMapEntries: true })}`;
}

/**
 * Writes it into a run's folder, whose lock the caller holds; a file of that name that is not ours is left
 * alone. E_FILE, E_DISK.
 */
export async function writePatchworkConfig(directory: string, spec: Spec): Promise<void> {
  const file = join(directory, CONFIG_FILE);
  const head = await readHead(file).catch((error: unknown) => {
    if (systemCode(error) === "ENOENT") return undefined;
    throw fileError(error, file, "read");
  });
  if (head === undefined || CONFIG_MARK.isOurs(head)) await writeFileAtomically(file, patchworkConfig(spec));
}
