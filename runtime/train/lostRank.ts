// What is said where a run ends because another of its processes is lost.
import { MttcError } from "../../compiler/diagnostics.ts";

/** The error, which says what was saved too: `reached` is "epoch 2, step 7", `path` the checkpoint's folder. */
export function withSaved(lost: MttcError, path: string, reached: string): MttcError {
  const faults = lost.faults.map((fault) => ({
    ...fault,
    message: `${fault.message}; saved as it was at ${reached}, in ${path}`,
  }));
  return new MttcError(faults, { cause: lost });
}

/** The same where nothing is newer than the checkpoint in `path`; the error itself where there is none. */
export function withOlder(lost: MttcError, path: string | undefined): MttcError {
  if (path === undefined) return lost;
  const faults = lost.faults.map((fault) => ({ ...fault, message: `${fault.message}; saved is ${path}` }));
  return new MttcError(faults, { cause: lost });
}
