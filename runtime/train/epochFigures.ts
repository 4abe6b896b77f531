// Further named figures of a finished epoch: speed, and what weight decay adds to the loss.
import type { Manifest } from "../../compiler/bundle/manifest.ts";
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { isDecayed } from "../../compiler/model/parameters.ts";
import type { StepSpec } from "../../compiler/spec/schema.ts";
import { OPTIMIZERS } from "../../compiler/step/optimizers.ts";
import type { EpochState } from "./epochLoop.ts";

/** `images_per_second` of the steps, without evaluation and checkpoint. */
export function speedScalars({ step, seconds }: EpochState, batchSize: number): Record<string, number> {
  return seconds > 0 ? { images_per_second: (step * batchSize) / seconds } : {};
}

/**
 * `train/weight_decay`: weight_decay / 2 times the sum of the squares of the trained kernels, whose gradient the
 * steps add; none where the optimizer decays weights itself.
 */
export function decayScalars(
  { optimizer, weight_decay: decay }: Pick<StepSpec, "optimizer" | "weight_decay">,
  { parameters }: Pick<Manifest, "parameters">,
  tensors: readonly StoredTensor[],
): Record<string, number> {
  if (decay === 0 || OPTIMIZERS[optimizer].decay !== "penalty") return {};
  const kernels = new Set(
    parameters.flatMap(({ name, role, trained }) => (trained && isDecayed({ role }) ? [name] : [])),
  );
  let squares = 0;
  for (const { name, dtype, data } of tensors) {
    if (!kernels.has(name) || dtype !== "float32") continue;
    const values = new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4);
    for (const value of values) squares += value * value;
  }
  return { "train/weight_decay": (decay / 2) * squares };
}
