// Whether the numbers of a checkpoint are numbers: what an earlier version saved of a run that had diverged
// is neither gone on with nor evaluated.
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import { MttcError } from "../../compiler/diagnostics.ts";
import type { LoadedCheckpoint } from "./checkpoints.ts";

/** E_DIVERGED for a checkpoint that an earlier version saved of numbers that are not finite. */
export function refuseDivergedCheckpoint({ tensors, path }: LoadedCheckpoint): void {
  const names = [...tensors.values()].filter((tensor) => !isFiniteTensor(tensor)).map(({ name }) => name);
  if (names.length === 0) return;
  const message = `holds numbers that are not finite, in ${names.length} tensors such as ${names[0]}`;
  const hint = "delete or move this folder: the checkpoint before it is then the newest";
  throw new MttcError({ code: "E_DIVERGED", message, at: { file: path }, hint });
}

/** Whether all numbers of a tensor of floats are finite; other tensors are. */
export function isFiniteTensor({ dtype, data }: Pick<StoredTensor, "dtype" | "data">): boolean {
  if (dtype !== "float32") return true;
  const isAligned = data.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0;
  const { buffer, byteOffset, byteLength } = isAligned ? data : data.slice();
  const values = new Float32Array(buffer, byteOffset, byteLength / Float32Array.BYTES_PER_ELEMENT);
  // By index, and by a difference that is 0 of finite numbers alone: nine times as fast as `of` with
  // isFinite, and it is all numbers of a run, after every epoch.
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    if (value - value !== 0) return false;
  }
  return true;
}
