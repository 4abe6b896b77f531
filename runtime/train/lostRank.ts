// What is said where a run ends because another of its processes is lost.
import { MttcError } from "../../compiler/diagnostics.ts";

/**
 * The error, which says too what was saved: `reached` is "epoch 2, step 7", `path` the checkpoint's folder.
 */
export function withSaved(lost: MttcError, path: string, reached: string): MttcError {
  const faults = lost.faults.map((fault) => ({
    ...fault,
    message: `${fault.message}; saved as it was at ${reached}, in ${path}`,
  }));
  return new MttcError(faults, { cause: lost });
}
