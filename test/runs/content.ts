// Checkpoints whose every byte follows from their epoch, so that a mixture of two would show.
// Shared by the tests and by the child process that they kill.
import type { StoredTensor } from "../../compiler/codec/safetensors.ts";
import type { CheckpointContent, LoadedCheckpoint } from "../../runtime/runs/checkpoints.ts";

/** A checkpoint of `epoch` with two tensors, of `stateBytes` and of one byte. */
export function contentOf(epoch: number, stateBytes: number): CheckpointContent {
  const tensor = (name: string, size: number): StoredTensor => ({
    name,
    dtype: "uint8",
    shape: [size],
    data: new Uint8Array(size).fill(epoch % 251),
  });
  return { epoch, tensors: [tensor("a", stateBytes), tensor("b", 1)], progress: { epoch, note: "ü" } };
}

/** Whether `loaded` is what `contentOf` made for its epoch, to the byte. */
export function isIntact(loaded: LoadedCheckpoint, stateBytes: number): boolean {
  const { tensors, progress } = contentOf(loaded.epoch, stateBytes);
  return (
    JSON.stringify(loaded.progress) === JSON.stringify(progress) &&
    loaded.tensors.size === tensors.length &&
    tensors.every(
      ({ name, data }) => Buffer.compare(loaded.tensors.get(name)?.data ?? Buffer.of(), data) === 0,
    )
  );
}
